"""URLs that look as if they led elsewhere than they do: every one of them leads to what is not public, or nowhere."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

# One of each kind: this machine, its neighbours, its link (where clouds serve their credentials), carriers, tests,
# multicast, reserved, and addresses at which single clouds serve their machines.
PRIVATE = (
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "0.0.0.0",  # noqa: S104 - nobody listens
)
PRIVATE_V6 = (
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "100::1",
    "2001:db8::1",
    "2001::1",
    "2001:20::1",
    "3fff::1",
    "5f00::1",
    "64:ff9b:1::7f00:1",
)
FULL_WIDTH = {ord(one): ord(one) - ord("0") + 0xFF10 for one in "./0123456789"}
CIRCLED = str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")
LEADING_NOWHERE = (
    "",
    "https://",
    "https:///path",
    "https:example.com",
    "//example.com/",
    "example.com",
    "https://[::1",
    "https://[]/",
    "https://[fe80::1%25lo]/",
    "https://[fe80::1%lo]/",
    "https://[::ffff:127.0.0.1%25lo]/",
    "https://[v1.fe80::a]/",
    "https://exa mple.com/",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\\.example.com/",
    "https://example.com\t.internal/",
    "https://example.com\n/",
    "https://example.com\r\nHost: 127.0.0.1/",
    "https://example.com\x00.internal/",
    "https://example.com\u2028/",
    "https://localhost\u200b/",
    "https://-example.com/",
    "https://example..com/",
    "https://.example.com/",
    "https://" + "a" * 64 + ".com/",
    "https://" + "a." * 130 + "com/",
    "https://example.com/" + "a" * 2048,
    "https://xn--/",
    "https://example.com:99999/",
    "https://example.com:-1/",
    "https://example.com:0/",
    "https://example.com:22/",
    "https://example.com:25/",
    "https://example.com:80/",
    "https://example.com:5432/",
    "https://example.com:9092/",
    "http://example.com/",
    "http://example.com:443/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/",
    "dict://127.0.0.1:2628/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:///run/docker.sock",
    "https+unix://%2Frun%2Fdocker.sock/",
    "ws://example.com/",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://:@example.com/",
    "https://example.com:443@169.254.169.254/",
    "https://example.com%40127.0.0.1/",
)
# Names, of which the resolver says where they lead; the tests' one leads all of them to this machine.
NAMES = (
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost.localdomain",
    "ip6-localhost",
    "metadata.google.internal",
    "instance-data",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1.nip.example",
    "7f000001.rebind.example",
    "loc%61lhost",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "rebinding.example",
    "xn--lcalhost-54a",
    "a.127.0.0.1.xip.example",
)


def tricky_urls(port: int) -> list[str]:
    """Each once. Where a URL has a port that is usual, it is `port`, at which somebody may listen."""
    hosts = [*map(_in_brackets, PRIVATE_V6), *NAMES]
    for text in PRIVATE:
        hosts += _spellings(IPv4Address(text))
    urls = [f"https://{host}:{port}/hook" for host in hosts]
    urls += [f"https://example.com@{text}:{port}/" for text in PRIVATE]
    urls += [f"https://{text}:{port}#@example.com/" for text in PRIVATE]
    return list(dict.fromkeys([*urls, *LEADING_NOWHERE]))


def _spellings(address: IPv4Address) -> Iterator[str]:
    whole, (a, b, c, d) = int(address), address.packed
    yield f"{address}"
    yield f"{address}."
    yield f"{whole}"
    yield f"0x{whole:x}"
    yield f"0{whole:o}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"
    yield f"{a:04o}.{b}.{c}.{d}"
    yield f"{a}.{b}.{c * 256 + d}"
    yield f"{a}.{whole & 0xFF_FFFF}"
    yield f"{address}".translate(FULL_WIDTH)
    yield f"{address}".translate(CIRCLED)
    yield f"{address}".replace(".", "。")
    yield f"{address}".replace(".", "%2e")
    yield f"[::ffff:{address}]"
    yield f"[::ffff:{whole >> 16:x}:{whole & 0xFFFF:x}]"
    yield f"[0:0:0:0:0:ffff:{address}]"
    yield f"[::{address}]"
    yield f"[64:ff9b::{address}]"
    yield _in_brackets(IPv6Address((0x2002 << 112) | (whole << 80) | 1))  # 6to4
    yield _in_brackets(IPv6Address((0x2001_0000 << 96) | (whole ^ 0xFFFF_FFFF)))  # Teredo


def _in_brackets(address: IPv6Address | str) -> str:
    return f"[{address}]"
