"""Private keys: made, sealed, opened and used here, and in no other file.

At rest a private key is sealed with AES-256-GCM under the master key, a random nonce each, and bound to its zone,
tag, algorithm and id: octets moved to another row do not open. Nothing here has a `repr` or an error that
shows a secret, and neither a vault nor a key can be pickled.

Sealed octets: version 1, eight octets that identify the master key, twelve of nonce, ciphertext and tag.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePrivateNumbers,
    EllipticCurvePublicNumbers,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ddns.dns import names
from ddns.dns.codes import Algorithm
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.zone.jobs import SealedKey
from zone_signer import keys

_VERSION = b"\x01"
_MASTER = 32  # octets of the master key
_ID = 8
_NONCE = 12
_SCALAR = 32  # octets of a private key, of either algorithm
_PUBLIC = 4  # octets of a DNSKEY before its public half (RFC 4034 §2.1)
_CURVE = SECP256R1()
_PREHASHED = ECDSA(Prehashed(hashes.SHA256()))


class VaultError(Exception):
    """A key that cannot be had; the message is one sentence that says what to do."""


class SigningKey:
    """A private key that is ready to sign."""

    __slots__ = ("algorithm", "public", "sign", "tag")

    sign: Callable[[bytes], bytes]
    """Return the signature over some octets as RFC 6605 §4 or RFC 8080 §4 lays it out."""

    def __init__(self, private: EllipticCurvePrivateKey | Ed25519PrivateKey, public: Rdata) -> None:
        if isinstance(private, Ed25519PrivateKey):
            self.algorithm = int(Algorithm.ED25519)
            self.sign = private.sign
        else:
            self.algorithm = int(Algorithm.ECDSAP256SHA256)
            self.sign = _p256(private)
        self.public = public
        self.tag = keys.tag(public)

    def __repr__(self) -> str:
        return f"SigningKey(tag={self.tag})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key does not leave its process")


def _p256(private: EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    raw, sha256 = private.sign, hashlib.sha256

    def sign(octets: bytes) -> bytes:
        # Whoever gives the digest saves OpenSSL the search for its implementation with every signature.
        # SEQUENCE of two INTEGERs in DER; 72 octets at most, so that every length is one octet (RFC 3279 §2.2.3).
        der = raw(sha256(octets).digest(), _PREHASHED)
        middle = 4 + der[3]
        r, s = der[4:middle], der[middle + 2 :]
        return r[-_SCALAR:].rjust(_SCALAR, b"\0") + s[-_SCALAR:].rjust(_SCALAR, b"\0")

    return sign


class Vault:
    """Seals and opens signing keys under one master key."""

    __slots__ = ("_aead", "master")

    def __init__(self, master: bytes) -> None:
        self._aead = AESGCM(master)
        self.master = hashlib.sha256(b"zone-signer master key" + master).digest()[:_ID]  # tells it from others

    @classmethod
    def load(cls, path: Path, *, create: bool = False) -> Vault:
        """Open the vault whose master key is in the file *path*, made first where *create* says so.

        Raises `VaultError`.
        """
        if create and not path.exists():
            _write_master(path)
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                master = file.read(_MASTER + 1)
        except FileNotFoundError:
            raise VaultError(
                f"the master key {path} is missing; put back its copy, for without it no signing key opens"
            ) from None
        except OSError as error:
            raise VaultError(f"the master key {path} cannot be read: {error.strerror}") from None
        if mode & 0o077:
            raise VaultError(f"the master key {path} is open to others; make it yours alone with chmod 600")
        if len(master) != _MASTER:
            raise VaultError(f"the master key {path} does not hold 32 octets; put back its copy")
        return cls(master)

    def make(self, origin: Name, algorithm: int, taken: Collection[int] = ()) -> tuple[SigningKey, SealedKey]:
        """Make a key for zone *origin* whose tag is none of *taken*, and seal it. Raises `VaultError`."""
        if algorithm not in keys.ALGORITHMS:
            raise VaultError(f"algorithm {algorithm} is not one that zones are signed with here; take 13 or 15")
        while True:
            private, scalar, octets = _generate(algorithm)
            key = SigningKey(private, keys.dnskey(keys.CSK_FLAGS, algorithm, octets))
            if key.tag not in taken:
                break
        ident = str(uuid.uuid4())
        nonce = os.urandom(_NONCE)
        bound = _bound(origin, key.tag, algorithm, ident)
        locked = _VERSION + self.master + nonce + self._aead.encrypt(nonce, scalar, bound)
        return key, SealedKey(ident, algorithm, keys.CSK_FLAGS, key.tag, key.public, locked)

    def open(self, origin: Name, sealed: SealedKey) -> SigningKey:
        """Open a key of zone *origin*. Raises `VaultError` where it is damaged, moved or another vault's."""
        octets = sealed.sealed
        where = f"key {sealed.tag} of {names.to_text(origin)}"
        if octets[:1] != _VERSION or len(octets) <= 1 + _ID + _NONCE:
            raise VaultError(f"{where} is not sealed as this program seals keys; put back the database's copy")
        if octets[1 : 1 + _ID] != self.master:
            raise VaultError(
                f"{where} is sealed under master key {octets[1 : 1 + _ID].hex()}, but {self.master.hex()} is here;"
                " put back the right master key"
            )
        nonce = octets[1 + _ID : 1 + _ID + _NONCE]
        bound = _bound(origin, sealed.tag, sealed.algorithm, sealed.id)
        try:
            scalar = self._aead.decrypt(nonce, octets[1 + _ID + _NONCE :], bound)
        except InvalidTag:
            raise VaultError(f"{where} was damaged or belongs elsewhere; put back the database's copy") from None
        public = sealed.public[_PUBLIC:]
        try:
            private = _private(sealed.algorithm, scalar, public)
        except ValueError:
            raise VaultError(f"{where} does not fit its public half; put back the database's copy") from None
        if keys.dnskey(sealed.flags, sealed.algorithm, public) != sealed.public:
            raise VaultError(f"{where} has a public half of another kind; put back the database's copy")
        return SigningKey(private, sealed.public)

    def __repr__(self) -> str:
        return f"Vault(master={self.master.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vault does not leave its process")


def master_of(sealed: bytes) -> bytes:
    """Return which master key *sealed* octets were sealed under."""
    return sealed[1 : 1 + _ID]


def _bound(origin: Name, tag: int, algorithm: int, ident: str) -> bytes:
    return origin + f"|{tag}|{algorithm}|{ident}".encode()


def _generate(algorithm: int) -> tuple[EllipticCurvePrivateKey | Ed25519PrivateKey, bytes, bytes]:
    """Return a new private key, its scalar and its public half."""
    if algorithm == Algorithm.ED25519:
        private = Ed25519PrivateKey.generate()
        return private, private.private_bytes_raw(), private.public_key().public_bytes_raw()
    made = generate_private_key(_CURVE)
    public = made.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    return made, made.private_numbers().private_value.to_bytes(_SCALAR, "big"), public


def _private(algorithm: int, scalar: bytes, public: bytes) -> EllipticCurvePrivateKey | Ed25519PrivateKey:
    """Return the private key of *scalar*. Raises `ValueError` where *public* is not its public half."""
    if algorithm == Algorithm.ED25519:
        private = Ed25519PrivateKey.from_private_bytes(scalar)
        if private.public_key().public_bytes_raw() != public:
            raise ValueError("another public half")
        return private
    # OpenSSL multiplies the scalar out and compares: half of what it takes to make the public half and read it.
    if len(public) != 2 * _SCALAR:
        raise ValueError("no point of P-256")
    x, y = int.from_bytes(public[:_SCALAR], "big"), int.from_bytes(public[_SCALAR:], "big")
    point = EllipticCurvePublicNumbers(x, y, _CURVE)
    return EllipticCurvePrivateNumbers(int.from_bytes(scalar, "big"), point).private_key()


def _write_master(path: Path) -> None:
    """Make a master key that is whole on the disk under its name before anything is sealed with it."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Root's embedded Postgres runs as another user, who must pass through the state folder.
        path.parent.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(_MASTER))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)  # unlike a rename it replaces nothing that another process made meanwhile
        except FileExistsError:
            return
        finally:
            new.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise VaultError(f"the master key {path} cannot be made: {error.strerror}") from None
