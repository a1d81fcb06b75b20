"""What crosses the gateway: everything but hops, credentials, and what only the gateway may say."""

import pytest
from multidict import CIMultiDict

from pac.gateway.headers import to_client, to_service

CLIENTS = CIMultiDict(
    [
        ("Host", "pac.example"),
        ("Authorization", "Bearer pac_x"),
        ("Cookie", "sb-x-auth-token=y"),
        ("PAC-Identity", "forged"),
        ("pac-anything", "forged"),
        ("X-Request-Id", "theirs"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Forwarded", "for=10.0.0.1"),
        ("Expect", "100-continue"),
        ("Connection", "keep-alive, X-Private"),
        ("X-Private", "for this hop"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Type", "multipart/form-data; boundary=b"),
        ("Content-Length", "3"),
        ("Idempotency-Key", "k"),
        ("Accept", "application/json"),
        ("Accept", "application/problem+json"),
    ]
)


def test_a_service_gets_the_request_without_credentials_and_with_a_signed_identity() -> None:
    sent = to_service(CLIENTS, identity="signed", request_id="ours")
    assert sorted(sent.items()) == sorted(
        [
            ("Content-Type", "multipart/form-data; boundary=b"),
            ("Content-Length", "3"),
            ("Idempotency-Key", "k"),
            ("Accept", "application/json"),
            ("Accept", "application/problem+json"),
            ("PAC-Identity", "signed"),
            ("X-Request-Id", "ours"),
        ]
    )


@pytest.mark.parametrize("name", ["PAC-Identity", "X-Request-Id"])
def test_naming_our_headers_as_hops_does_not_remove_them(name: str) -> None:
    sent = to_service(CIMultiDict({"Connection": name, name: "forged"}), identity="signed", request_id="ours")
    assert sent.getall(name) == ["signed" if name == "PAC-Identity" else "ours"]


def test_a_client_gets_the_answer_without_hops_and_without_what_names_the_server() -> None:
    answer = CIMultiDict(
        [
            ("Server", "inside"),
            ("Connection", "close"),
            ("Keep-Alive", "timeout=5"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Type", "application/json"),
            ("ETag", '"3"'),
            ("Retry-After", "1"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
        ]
    )
    assert sorted(to_client(answer, request_id="ours").items()) == [
        ("Content-Type", "application/json"),
        ("ETag", '"3"'),
        ("Retry-After", "1"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("X-Request-Id", "ours"),
    ]
