"""Which pages may write with a user's cookie."""

import pytest
from aiohttp.test_utils import make_mocked_request

from pac.contracts.errors import ErrorCode, Refused
from pac.gateway.origins import Origins, normal

TRUSTED = Origins(frozenset({"https://app.example:443"}))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://pac.example:4000"},
        {"Origin": "https://app.example"},
        {"Origin": "https://APP.example:443", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://pac.example:4000", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_own_pages_trusted_ones_and_no_page_at_all_may(headers: dict[str, str]) -> None:
    TRUSTED.check(make_mocked_request("POST", "/", headers={"Host": "pac.example:4000", **headers}))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://app.example.evil.example"},
        {"Origin": "http://app.example"},
        {"Origin": "http://pac.example:4001"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[::1"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "anything"},
    ],
)
def test_foreign_pages_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(Refused) as refusal:
        TRUSTED.check(make_mocked_request("POST", "/", headers={"Host": "pac.example:4000", **headers}))
    assert refusal.value.code is ErrorCode.FOREIGN_ORIGIN


def test_a_host_without_its_usual_port_is_the_same() -> None:
    Origins().check(make_mocked_request("POST", "/", headers={"Host": "pac.example", "Origin": "https://pac.example"}))
    assert normal("https://pac.example:99999") is None
