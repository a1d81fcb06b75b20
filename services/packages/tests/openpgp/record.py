"""Has GnuPG itself write what test_openpgp.py reads: `python record.py`, where gpg 2.2 or newer is there.

Every run makes new keys, so what is written belongs together; nothing private is kept.
"""

import os
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CONTENT = HERE / "content.bin"
WHEN_OLD = "20200101T000000!"
ALWAYS = ("gpg", "--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", "")


class Ring:
    """A folder of keys that goes with this object."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "GNUPGHOME": str(home), "LC_ALL": "C"}

    def run(self, *arguments: str, answers: str = "") -> str:
        command = [*ALWAYS, *arguments]
        done = subprocess.run(command, env=self.environment, input=answers, capture_output=True, text=True, check=True)
        return done.stdout

    def key(self, name: str, *options: str, algorithm: str = "ed25519", lasts: str = "0") -> str:
        """A primary key that certifies and a subkey that signs; gives the primary's fingerprint."""
        self.run(*options, "--quick-gen-key", f"{name} <{name}@example.org>", algorithm, "cert", lasts)
        fingerprint = self.fingerprints(name)[0]
        self.run(*options, "--quick-add-key", fingerprint, algorithm, "sign", lasts)
        return fingerprint

    def fingerprints(self, name: str) -> list[str]:
        listed = self.run("--with-colons", "--list-keys", name)
        return [line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr")]

    def export(self, name: str, file: str) -> None:
        (HERE / file).write_text(self.run("--armor", "--export", name))

    def sign(self, name: str, file: str, *options: str) -> None:
        self.run(*options, "-u", name, "-o", str(HERE / file), str(CONTENT))

    def edit(self, fingerprint: str, *answers: str) -> None:
        self.run("--command-fd", "0", "--edit-key", fingerprint, answers="\n".join([*answers, ""]))


def main() -> None:
    CONTENT.write_bytes(bytes(range(256)) * 4 + b"\r\nlines\nof two kinds\r\n")
    with tempfile.TemporaryDirectory() as home:
        ring = Ring(Path(home))
        ring.key("modern")
        ring.export("modern", "modern.asc")
        ring.sign("modern", "modern.sig", "--detach-sign")
        ring.sign("modern", "modern.sig.asc", "--armor", "--detach-sign")
        ring.sign("modern", "text.sig", "--textmode", "--detach-sign")
        ring.sign("modern", "inline.asc", "--armor", "--sign")
        ring.key("classic", algorithm="rsa3072")
        ring.export("classic", "classic.asc")
        ring.sign("classic", "classic.sig", "--detach-sign")
        ring.sign("classic", "both.sig", "-u", "modern", "--detach-sign")
        ring.key("expired", "--faked-system-time", WHEN_OLD, lasts="1y")
        ring.export("expired", "expired.asc")
        ring.sign("expired", "expired.sig", "--faked-system-time", WHEN_OLD, "--detach-sign")
        changed = ring.key("changed")
        ring.sign("changed", "changed.sig", "--detach-sign")
        ring.edit(changed, "key 1", "revkey", "y", "0", "", "y", "save")
        ring.run("--quick-add-key", changed, "ed25519", "sign", "0")
        ring.export("changed", "changed.asc")
        revoked = ring.key("revoked")
        ring.sign("revoked", "revoked.sig", "--detach-sign")
        ring.export("revoked", "revoked-before.asc")
        ring.edit(revoked, "revkey", "y", "0", "", "y", "save")
        ring.export("revoked", "revoked.asc")
        subprocess.run(["gpgconf", "--kill", "all"], env=ring.environment, check=False)


if __name__ == "__main__":
    main()
