"""Packages by their .env: it must be there; what is written in it is warned of, and refuses nothing."""

from pac.testkit.corpus.case import Case, case
from pac.testkit.crafted import FOLDER, Part, Zip, package

KEY_LINES = "MIIEpAIBAAKCAQEAn0pTnAIPGQ\nqXhN1zvVyk3bqWYkDbUJ7AAA=\n-----END RSA PRIVATE KEY-----\n"
UNQUOTED = f"KEY=-----BEGIN RSA PRIVATE KEY-----\n{KEY_LINES}AFTER=1\n"
QUOTED = f'KEY="-----BEGIN RSA PRIVATE KEY-----\n{KEY_LINES}"\nAFTER=1\n'


def env(content: bytes | str) -> Zip:
    return package(Part(".env", content if isinstance(content, bytes) else content.encode()), without=[".env"])


ENVS: tuple[Case, ...] = (
    case("no .env", package(without=[".env"]), "env_missing"),
    case("an .env in a folder", package(Part("src/.env", b"A=1\n"), without=[".env"]), "env_missing"),
    case("an example instead of an .env", package(Part(".env.example", b"A=1\n"), without=[".env"]), "env_missing"),
    case("an .env that is a folder", package(Part(".env/", mode=FOLDER), without=[".env"]), "env_missing"),
    case("a NUL in a value", env(b"A=x\0y\n"), "env_unusable"),
    case("a NUL in a name", env(b"A\0B=x\n"), "env_unusable"),
    case("an .env larger than allowed", env("A=" + "x" * 300_000), "env_unreadable"),
    case("an empty .env", env(b"")),
    case("comments only", env("# A=1\n\n#\n")),
    case("an .env with a mark of byte order", env(b"\xef\xbb\xbfA=1\n")),
    case("lines as DOS ends them", env(b"A=1\r\nB=2\r\n")),
    case("export, quotes, comments", env("export A='1 # 2'\nB=\"x\ny\" # z\n")),
    case("a name without a value", env("A\nB=1\n"), warns=("env_line_unread",)),
    case("not UTF-8", env(b"A=caf\xe9\n"), warns=("env_not_utf8",)),
    case("a binary", env(b"\x7fELF\x02\x01\x01" + bytes(range(1, 200))), warns=("env_not_utf8", "env_line_unread")),
    case("a secret", env("OPENAI_API_KEY=sk-live-0123456789abcdef\n"), warns=("secret_like_value",)),
    case("an own address", env("DB_HOST=localhost\nAPI=http://10.0.0.5:8000/v1\n"), warns=("machine_address",)),
    case(
        "a quote that is not closed",
        env('OPENAI_API_KEY="sk-live-0123456789abcdef\n'),
        warns=("secret_like_value", "env_line_unread"),
    ),
    case("lines that are none", env("this is a sentence, not a setting\nA=1\n"), warns=("env_line_unread",)),
    case("a path", env("DATA=/home/someone/data\n"), warns=("absolute_path",)),
    case("a key without quotes", env(UNQUOTED), warns=("secret_like_value", "env_not_quoted")),
    case("a key in quotes", env(QUOTED), warns=("secret_like_value",)),
    case("a name that is none", env("a b=1\n1A=2\nfine=3\n"), warns=("env_name_odd", "env_line_unread")),
    case("placeholders", env("OPENAI_API_KEY=your-key-here\nB=<token>\nC=${FROM_DEPLOY}\nD=changeme\n")),
)
