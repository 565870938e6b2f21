"""TSIG secrets at rest: sealed under the service's own key, bound to the name of the key that they belong to.

AES-SIV (RFC 5297), which needs no nonce, so that sealing is a pure function; the same secret under the
same name gives the same octets, which tells nobody anything. A row moved to another name does not open.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from ddns.auth.principal import Secret
from ddns.dns import names
from ddns.dns.names import Name

KEY_SIZE = 32  # octets
_VERSION = b"\x01"
_ID_SIZE = 4  # octets that tell which key sealed, so that a wrong one is named as such
_PURPOSE = b"nameplate tsig secret 1"


class BadSeal(ValueError):
    """A sealed secret, or a sealing key, that cannot be used; the message says why and what to do."""


class Sealer:
    """Seal and open secrets with a key of 32 octets."""

    __slots__ = ("_cipher", "_id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise BadSeal(f"the key that seals secrets has {len(key)} octets; it must have {KEY_SIZE}")
        self._cipher = AESSIV(hashlib.blake2b(key, person=b"nameplate-seal", digest_size=64).digest())
        self._id = hashlib.sha256(_PURPOSE + key).digest()[:_ID_SIZE]

    def __repr__(self) -> str:
        return "Sealer(…)"

    @classmethod
    def from_file(cls, path: Path) -> Sealer:
        """Make one from the file that holds the key. Raises `BadSeal`."""
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise BadSeal(f"the key that seals secrets cannot be read from {path}: {error.strerror}") from None
        except BadSeal as error:
            raise BadSeal(f"{path}: {error}") from None

    def seal(self, name: Name, secret: Secret) -> bytes:
        """Return *secret* of the key *name* as octets that only `open` understands."""
        return _VERSION + self._id + self._cipher.encrypt(secret.reveal(), [_PURPOSE, name])

    def open(self, name: Name, sealed: bytes) -> Secret:
        """Return the secret of the key *name* from what `seal` gave. Raises `BadSeal`."""
        what = f"the secret of {names.to_text(name)}"
        if sealed[:1] != _VERSION:
            raise BadSeal(f"{what} is sealed in a way that this version does not know")
        if sealed[1 : 1 + _ID_SIZE] != self._id:
            raise BadSeal(f"{what} was sealed with another key; give the service the key file that belongs to its data")
        try:
            return Secret(self._cipher.decrypt(sealed[1 + _ID_SIZE :], [_PURPOSE, name]))
        except (InvalidTag, ValueError):
            raise BadSeal(f"{what} is damaged, or belongs to another key; revoke it and add it again") from None
