"""Which URLs of strangers are taken, and which addresses are public."""

from ipaddress import ip_address

import pytest

from pac.servicekit.destinations import Destination, NotAllowed, Rules, is_public, networks_in
from pac.testkit.tricky_urls import PRIVATE, PRIVATE_V6, tricky_urls

HERE = Rules(allowed_networks=networks_in("127.0.0.0/8, ::1/128"))
PUBLIC = ("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.254")
PUBLIC_V6 = ("2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "::ffff:1.1.1.1", "64:ff9b::101:101")


@pytest.mark.parametrize("text", [*PRIVATE, *PRIVATE_V6])
def test_what_is_special_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_nor_is_it_in_the_clothes_of_ipv6(text: str) -> None:
    for form in (f"::ffff:{text}", f"64:ff9b::{text}", f"::{text}"):
        assert not is_public(ip_address(form))


@pytest.mark.parametrize("text", [*PUBLIC, *PUBLIC_V6])
def test_the_internet_is_public(text: str) -> None:
    assert is_public(ip_address(text))


def test_there_are_two_hundred_tricky_urls_and_none_leads_to_a_private_address_by_itself() -> None:
    urls = tricky_urls(8443)
    assert len(urls) >= 200
    taken = []
    for text in urls:
        try:
            taken.append(Rules().destination(text).url)
        except NotAllowed:
            continue
    # What is left are names, of which the resolver knows more, and each is what it says.
    assert taken
    for url in taken:
        assert url.raw_host is not None
        assert url.raw_host.strip("abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
        with pytest.raises(ValueError, match="does not appear to be"):
            ip_address(url.raw_host)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://example.com/hook", "https://example.com/hook"),
        ("HTTPS://EXAMPLE.COM./hook?a=b#c", "https://example.com/hook?a=b"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://1.1.1.1/", "https://1.1.1.1/"),
        ("https://[2606:4700::1111]:443/", "https://[2606:4700::1111]/"),
        ("https://example.com/?to=user@host", "https://example.com/?to=user@host"),
    ],
)
def test_an_ordinary_url_is_taken_in_one_form(text: str, kept: str) -> None:
    taken = Rules().destination(text)
    assert (str(taken.url), taken.is_near) == (kept, False)
    assert str(Rules().destination(str(taken.url)).url) == kept


def test_a_refusal_says_why_and_quotes_nothing() -> None:
    for text, why in (
        ("http://example.com/secret-path", "Must begin with https://"),
        ("https://example.com:22/secret-path", "Its port must be one of 443, 8443"),
        ("https://me:secret-word@example.com/", "Must hold no user and no password"),
        ("https://10.0.0.1/", "Leads to an address that is not public"),
        ("https://0x7f000001/", "Its host must be a name, or an address in its usual form"),
    ):
        with pytest.raises(NotAllowed) as refused:
            Rules().destination(text)
        assert str(refused.value) == why


def test_an_allowed_network_may_be_reached_by_plain_http_and_any_port_and_nothing_else_may() -> None:
    near = HERE.destination("http://127.0.0.1:5000/hook")
    assert near.is_near
    assert HERE.destination("http://[::1]:5000/hook").is_near
    far = near.url.with_scheme("https").with_port(None)
    assert HERE.destination("https://127.0.0.1/hook") == Destination(far, is_near=False)
    for text in ("http://10.0.0.1:5000/", "http://1.1.1.1/", "https://1.1.1.1:5000/", "https://192.168.0.1/"):
        with pytest.raises(NotAllowed):
            HERE.destination(text)
    # A name over plain HTTP is taken, and only what is near may serve it.
    assert HERE.destination("http://localhost:5000/").is_near
    assert not HERE.permits(ip_address("1.1.1.1"), is_near=True)
    assert HERE.permits(ip_address("1.1.1.1"), is_near=False)
    assert HERE.permits(ip_address("::ffff:127.0.0.1"), is_near=True)


def test_networks_are_read_or_refused() -> None:
    assert networks_in("") == ()
    assert [str(one) for one in networks_in("10.0.0.0/8,fd00::/8 ")] == ["10.0.0.0/8", "fd00::/8"]
    with pytest.raises(ValueError, match="host bits"):
        networks_in("10.0.0.1/8")
