"""The gateway's own key: P-256, made here, kept here, and never shown.

It is stored in the two files that BIND's tools use (`Ksmith.homes.example.+013+12345.key` and
`.private`), the second readable by its owner only, so that `nsupdate -k` can stand in for the agent.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from ddns.auth import keys, sig0
from ddns.dns import names
from ddns.dns.codes import Algorithm, Type
from ddns.dns.names import Name

_SIZE = 32  # octets of the private number


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
    def tag(self) -> int:
        """Return the key tag (RFC 4034 Appendix B)."""
        return keys.key_tag(self.rdata)

    @property
    def stem(self) -> str:
        """Return the files' name without its end."""
        return f"K{names.to_text(self.name)}+{int(Algorithm.ECDSAP256SHA256):03d}+{self.tag:05d}"

    def to_text(self) -> str:
        """Return the KEY record's data as text: the public half."""
        octets = base64.b64encode(self.rdata[4:]).decode()
        return f"{keys.FLAGS_HOST} {keys.PROTOCOL_DNSSEC} {int(Algorithm.ECDSAP256SHA256)} {octets}"

    def sign_request(self, message: bytes, now: int) -> bytes:
        """Return *message* with a SIG(0) of this key (RFC 2931 §3.1); *now* is in seconds since 1970."""
        return sig0.sign_request(message, self._private, self.name, now)

    def save(self, folder: Path) -> str:
        """Write both files into *folder*, the private one first, and return their `stem`."""
        number = self._private.private_numbers().private_value.to_bytes(_SIZE, "big")
        private = (
            "Private-key-format: v1.3\n"
            f"Algorithm: {int(Algorithm.ECDSAP256SHA256)} (ECDSAP256SHA256)\n"
            f"PrivateKey: {base64.b64encode(number).decode()}\n"
        )
        write_private(folder / f"{self.stem}.private", private.encode())
        public = f"{names.to_text(self.name)} IN {Type.KEY.name} {self.to_text()}\n"
        write_private(folder / f"{self.stem}.key", public.encode())
        return self.stem

    @classmethod
    def load(cls, folder: Path, stem: str) -> GatewayKey:
        """Read the key that `save` (or dnssec-keygen) wrote. Raises `BadKey`."""
        path = folder / f"{stem}.private"
        try:
            name = names.from_text(stem[1:].split("+", maxsplit=1)[0])
            lines = path.read_text().splitlines()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BadKey(f"the gateway's key {path} cannot be read: {reason}") from None
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        if fields.get("Algorithm", "").split()[:1] != [str(int(Algorithm.ECDSAP256SHA256))]:
            raise BadKey(f"{path} holds no P-256 key (algorithm 13)")
        try:
            number = int.from_bytes(base64.b64decode(fields.get("PrivateKey", ""), validate=False), "big")
            key = cls(name, ec.derive_private_key(number, ec.SECP256R1()))
        except (binascii.Error, ValueError):
            raise BadKey(f"{path} is damaged; restore it from a backup or enrol again") from None
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
