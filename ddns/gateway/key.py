"""The gateway's own key: P-256, made here, kept here, and never shown.

It is stored in the two files that BIND's tools use (`Ksmith.homes.example.+013+12345.key` and
`.private`), the second readable by its owner only, so that `nsupdate -k` can stand in for the agent.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from ddns.auth import keyfile, keys, sig0
from ddns.dns import names
from ddns.dns.names import Name


class BadKey(ValueError):
    """A key file that cannot be used; the message names it and the cure."""


class GatewayKey:
    """A P-256 key called *name*; it signs messages and says its public half."""

    __slots__ = ("_private", "name", "rdata")

    def __init__(self, name: Name, private: ec.EllipticCurvePrivateKey) -> None:
        self.name = name
        self._private = private
        self.rdata = keys.key_rdata(private)

    def __repr__(self) -> str:
        return f"GatewayKey({self.stem!r})"

    @classmethod
    def make(cls, name: Name) -> GatewayKey:
        """Make a new key."""
        return cls(name, ec.generate_private_key(ec.SECP256R1()))

    @property
    def private(self) -> ec.EllipticCurvePrivateKey:
        """Return the private half, to sign a statement with."""
        return self._private

    @property
    def tag(self) -> int:
        """Return the key tag (RFC 4034 Appendix B)."""
        return keys.key_tag(self.rdata)

    @property
    def stem(self) -> str:
        """Return the files' name without its end."""
        return keyfile.stem(self.name, self.rdata)

    def to_text(self) -> str:
        """Return the KEY record's data as text: the public half."""
        return keyfile.public_text(self.name, self.rdata).partition(" KEY ")[2].strip()

    def sign_request(self, message: bytes, now: int) -> bytes:
        """Return *message* with a SIG(0) of this key (RFC 2931 §3.1); *now* is in seconds since 1970."""
        return sig0.sign_request(message, self._private, self.name, now)

    def save(self, folder: Path) -> str:
        """Write both files into *folder*, the private one first, and return their `stem`."""
        write_private(folder / f"{self.stem}.private", keyfile.private_text(self._private).encode())
        write_private(folder / f"{self.stem}.key", keyfile.public_text(self.name, self.rdata).encode())
        return self.stem

    @classmethod
    def load(cls, folder: Path, stem: str) -> GatewayKey:
        """Read the key that `save` (or dnssec-keygen) wrote. Raises `BadKey`."""
        path = folder / f"{stem}.private"
        try:
            name = names.from_text(stem[1:].split("+", maxsplit=1)[0])
            private = keyfile.read_private(path.read_text())
        except keys.BadKey as error:
            raise BadKey(f"{path}: {error}; restore it from a backup or enrol again") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BadKey(f"the gateway's key {path} cannot be read: {reason}") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise BadKey(f"{path} holds no P-256 key (algorithm 13)")
        key = cls(name, private)
        if key.stem != stem:
            raise BadKey(f"{path} holds another key than its name says; restore it from a backup or enrol again")
        return key


def write_private(path: Path, octets: bytes) -> None:
    """Write *octets* so that *path* is whole or absent after a crash, and readable by its owner only."""
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(octets)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
