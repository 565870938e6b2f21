"""Private keys in software: made, sealed, opened and used here, and in no other file.

At rest a private key is sealed with AES-256-GCM under the master key, a random nonce each, and bound to its zone,
tag, algorithm, id and role: octets moved to another row do not open. Nothing here has a `repr` or an error that
shows a secret, and neither a vault nor a key can be pickled. Which master keys there are is in `masters`, where a
key is in `vaults`.

Sealed octets: the version, eight octets that identify the master key, twelve of nonce, ciphertext and tag. Version 1
holds the scalar of a csk of algorithm 13 or 15, so that programs before roles open it; version 2 all others, which
is a scalar too or, for RSA, PKCS #8 (RFC 5208).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Collection
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    EllipticCurvePrivateNumbers,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from msgspec.structs import replace

from ddns.dns import names
from ddns.dns.codes import Algorithm
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.zone.jobs import SealedKey
from zone_signer import keys
from zone_signer.phase import Role

SEALED = "sealed"  # the name of this kind of vault, in policies and beside keys
MASTER = 32  # octets of a master key
_FIRST = b"\x01"
_SECOND = b"\x02"
_RSA, _ED25519 = int(Algorithm.RSASHA256), int(Algorithm.ED25519)  # an enum's members are slow to look up
_FIRST_KINDS = frozenset({int(Algorithm.ECDSAP256SHA256), _ED25519})
_ID = 8
_NONCE = 12
_HEAD = 1 + _ID + _NONCE
_FLAGS = {role.value: keys.flags(role) for role in Role}
_CURVES: dict[int, tuple[EllipticCurve, int, Callable[[bytes], Any], ECDSA]] = {  # by algorithm; octets of a number
    13: (SECP256R1(), 32, hashlib.sha256, ECDSA(Prehashed(hashes.SHA256()))),
    14: (SECP384R1(), 48, hashlib.sha384, ECDSA(Prehashed(hashes.SHA384()))),
}


class VaultError(Exception):
    """A key that cannot be had; the message is one sentence that says what to do."""


class VaultAway(VaultError):
    """A vault that does not answer here and now: its keys are not lost, and another signer may have them."""


class SigningKey:
    """A private key that is ready to sign. It *blocks* where another device is asked for every signature."""

    __slots__ = ("algorithm", "blocks", "public", "sign", "tag")

    sign: Callable[[bytes], bytes]
    """Return the signature over some octets as RFC 5702 §3, RFC 6605 §4 or RFC 8080 §4 lays it out."""

    def __init__(self, sign: Callable[[bytes], bytes], public: Rdata, *, blocks: bool = False) -> None:
        self.sign = sign
        self.public = public
        self.algorithm = public[3]
        self.tag = keys.tag(public)
        self.blocks = blocks

    def __repr__(self) -> str:
        return f"SigningKey(tag={self.tag})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key does not leave its process")


def ecdsa(private: EllipticCurvePrivateKey, algorithm: int) -> Callable[[bytes], bytes]:
    """Return what signs with a private key of P-256 or P-384 as RFC 6605 §4 lays it out."""
    raw = private.sign
    _, size, digest, prehashed = _CURVES[algorithm]

    def sign(octets: bytes) -> bytes:
        # Whoever gives the digest saves OpenSSL the search for its implementation with every signature.
        # SEQUENCE of two INTEGERs in DER; 104 octets at most, so that every length is one octet (RFC 3279 §2.2.3).
        der = raw(digest(octets).digest(), prehashed)
        middle = 4 + der[3]
        r, s = der[4:middle], der[middle + 2 :]
        return r[-size:].rjust(size, b"\0") + s[-size:].rjust(size, b"\0")

    return sign


def rsa_sha256(private: RSAPrivateKey) -> Callable[[bytes], bytes]:
    """Return what signs with an RSA key as RFC 5702 §3.1 lays it out."""
    raw, padding, digest = private.sign, PKCS1v15(), hashes.SHA256()
    return lambda octets: raw(octets, padding, digest)


class Vault:
    """Seals and opens signing keys under one master key."""

    __slots__ = ("_aead", "master")

    def __init__(self, master: bytes) -> None:
        self._aead = AESGCM(master)
        self.master = hashlib.sha256(b"zone-signer master key" + master).digest()[:_ID]  # tells it from others

    def make(
        self,
        origin: Name,
        algorithm: int,
        role: Role = Role.CSK,
        taken: Collection[int] = (),
        vault: str = SEALED,
    ) -> tuple[SigningKey, SealedKey]:
        """Make a key for zone *origin* whose tag is none of *taken*, and seal it. Raises `VaultError`.

        An RSA key takes a good part of a second.
        """
        if vault != SEALED:
            raise VaultAway(f"the vault {vault} is not here; start zone-signer with --pkcs11 and --pkcs11-token")
        if algorithm not in keys.ALGORITHMS:
            numbers = ", ".join(map(str, sorted(keys.ALGORITHMS)))
            raise VaultError(f"algorithm {algorithm} is not one that zones are signed with here; take one of {numbers}")
        flags = keys.flags(role)
        while True:
            sign, secret, public = _generate(algorithm)
            key = SigningKey(sign, keys.dnskey(flags, algorithm, public))
            if key.tag not in taken:
                break
        bare = SealedKey(str(uuid.uuid4()), algorithm, flags, key.tag, key.public, role=role.value, vault=SEALED)
        return key, self._sealed(origin, bare, secret)

    def open(self, origin: Name, sealed: SealedKey) -> SigningKey:
        """Open a key of zone *origin*. Raises `VaultError` where it is damaged, moved or another vault's."""
        return self._opened(origin, sealed, self._secret(origin, sealed))

    def destroy(self, origin: Name, sealed: SealedKey) -> None:
        """Do nothing: a sealed key is nowhere but in its row, and what remains of that opens under its master key."""
        del origin, sealed

    def reseal(self, origin: Name, sealed: SealedKey) -> None:
        """Leave a key that is under this master key as it is. Raises `VaultError` where it is not."""
        self.open(origin, sealed)

    def moved(self, origin: Name, sealed: SealedKey, to: Vault) -> SealedKey:
        """Return a key that is sealed here, sealed under the master key of *to* instead. Raises `VaultError`."""
        secret = self._secret(origin, sealed)
        self._opened(origin, sealed, secret)
        return to._sealed(origin, sealed, secret)

    def _sealed(self, origin: Name, key: SealedKey, secret: bytes) -> SealedKey:
        version, nonce = _version(key), os.urandom(_NONCE)
        locked = self._aead.encrypt(nonce, secret, _bound(version, origin, key))
        return replace(key, sealed=version + self.master + nonce + locked)

    def _secret(self, origin: Name, sealed: SealedKey) -> bytes:
        """Return what is sealed. Raises `VaultError`."""
        octets, version = sealed.sealed, _version(sealed)
        if not is_sealed(octets) or len(octets) <= _HEAD:
            raise VaultError(
                f"{described(origin, sealed)} is not sealed as this program seals keys; put back the database's copy"
            )
        master = octets[1 : 1 + _ID]
        if master != self.master:
            raise VaultAway(
                f"{described(origin, sealed)} is sealed under master key {master.hex()}, but {self.master.hex()} is"
                " here; put back the right master key"
            )
        if octets[:1] == version:
            with contextlib.suppress(InvalidTag):
                bound = _bound(version, origin, sealed)
                return self._aead.decrypt(octets[1 + _ID : _HEAD], octets[_HEAD:], bound)
        raise VaultError(f"{described(origin, sealed)} was damaged or belongs elsewhere; put back the database's copy")

    @staticmethod
    def _opened(origin: Name, sealed: SealedKey, secret: bytes) -> SigningKey:
        """Return the key that was *sealed*. Raises `VaultError` where its row has another public half."""
        public = sealed.public[keys.HEAD :]
        try:
            sign = _signing(sealed.algorithm, secret, public)
        except ValueError:
            raise VaultError(
                f"{described(origin, sealed)} does not fit its public half; put back the database's copy"
            ) from None
        check_public(origin, sealed)
        return SigningKey(sign, sealed.public)

    def __repr__(self) -> str:
        return f"Vault(master={self.master.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vault does not leave its process")


def described(origin: Name, key: SealedKey) -> str:
    """Return how a key of zone *origin* is called in sentences."""
    return f"key {key.tag} of {names.to_text(origin)}"


def check_public(origin: Name, key: SealedKey) -> None:
    """Refuse a key whose row disagrees with its own DNSKEY. Raises `VaultError`."""
    fits = key.flags == _FLAGS.get(key.role)
    if not fits or keys.dnskey(key.flags, key.algorithm, key.public[keys.HEAD :]) != key.public:
        raise VaultError(f"{described(origin, key)} has a public half of another kind; put back the database's copy")


def master_of(sealed: bytes) -> bytes:
    """Return which master key *sealed* octets were sealed under."""
    return sealed[1 : 1 + _ID]


def is_sealed(sealed: bytes) -> bool:
    """Tell whether *sealed* octets hold a private key, and not where a token has it."""
    return sealed[:1] in (_FIRST, _SECOND)


def _version(key: SealedKey) -> bytes:
    return _FIRST if key.role == Role.CSK and key.algorithm in _FIRST_KINDS else _SECOND


def _bound(version: bytes, origin: Name, key: SealedKey) -> bytes:
    bound = origin + f"|{key.tag}|{key.algorithm}|{key.id}".encode()
    return bound if version == _FIRST else bound + b"|2|" + key.role.encode()


def _generate(algorithm: int) -> tuple[Callable[[bytes], bytes], bytes, bytes]:
    """Return what signs with a new private key, what of it is sealed, and its public half."""
    if algorithm == _ED25519:
        edwards = Ed25519PrivateKey.generate()
        return edwards.sign, edwards.private_bytes_raw(), edwards.public_key().public_bytes_raw()
    if algorithm == _RSA:
        made = rsa.generate_private_key(keys.RSA_EXPONENT, keys.RSA_BITS)
        secret = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return rsa_sha256(made), secret, _rsa_public(made)
    curve, size, _, _ = _CURVES[algorithm]
    private = ec.generate_private_key(curve)
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    return ecdsa(private, algorithm), private.private_numbers().private_value.to_bytes(size, "big"), public


def _rsa_public(private: RSAPrivateKey) -> bytes:
    numbers = private.public_key().public_numbers()
    e, n = numbers.e, numbers.n
    return keys.rsa_public(e.to_bytes((e.bit_length() + 7) // 8, "big"), n.to_bytes((n.bit_length() + 7) // 8, "big"))


def _signing(algorithm: int, secret: bytes, public: bytes) -> Callable[[bytes], bytes]:
    """Return what signs with the private key in *secret*. Raises `ValueError` where *public* is not its other half."""
    if algorithm == _ED25519:
        edwards = Ed25519PrivateKey.from_private_bytes(secret)
        if edwards.public_key().public_bytes_raw() != public:
            raise ValueError("another public half")
        return edwards.sign
    if algorithm == _RSA:
        # The seal shows that these are the octets that were written: another proof that both factors are prime
        # would take many milliseconds with every key that is opened.
        made = load_der_private_key(secret, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(made, RSAPrivateKey) or _rsa_public(made) != public:
            raise ValueError("another public half")
        return rsa_sha256(made)
    # OpenSSL multiplies the scalar out and compares: half of what it takes to make the public half and read it.
    curve, size, _, _ = _CURVES[algorithm]
    if len(public) != 2 * size:
        raise ValueError("no point of that curve")
    x, y = int.from_bytes(public[:size], "big"), int.from_bytes(public[size:], "big")
    point = EllipticCurvePublicNumbers(x, y, curve)
    return ecdsa(EllipticCurvePrivateNumbers(int.from_bytes(secret, "big"), point).private_key(), algorithm)
