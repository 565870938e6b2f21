"""Private keys that never leave a PKCS#11 token: made there, used there, destroyed there.

Law: one call is under way at a time in a process, over one session. python-pkcs11 starts a module by
C_Initialize(NULL), with which an application promises not to call it from several threads at once (PKCS#11 3.0 §5.4);
SoftHSM, for one, then does without locks. There is one `Hsm` in a process, and it is never forked: helpers are
started anew.

A key's CKA_ID is the id of its row and its label is zone, tag and role, so that rows that were exchanged do not open.
Sealed octets: version 3, the id, the token's label. Whatever goes wrong is tried once more in a new session, but a PIN
that was refused is not given again: some tokens lock themselves after three.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error
from pkcs11 import exceptions as problems

from ddns.dns import names
from ddns.dns.codes import Algorithm
from ddns.dns.names import Name
from ddns.zone.jobs import SealedKey
from zone_signer import keys
from zone_signer.checking import verifies
from zone_signer.orphans import Kept
from zone_signer.phase import Role
from zone_signer.vault import SigningKey, VaultAway, VaultError, check_public, described

Result = TypeVar("Result")

PREFIX = "pkcs11:"  # of the name of a token's vault, in policies and beside keys
VERSION = b"\x03"
CACHED = 20_000  # keys whose place in the token is remembered
TRIES = 2
CHALLENGE = 32  # octets that a key signs when it is opened

# The curves as OIDs in DER (PKCS#11 3.0 §2.3.3 and, for Ed25519, RFC 8410 §3).
_CURVES = {
    Algorithm.ECDSAP256SHA256: bytes.fromhex("06082a8648ce3d030107"),
    Algorithm.ECDSAP384SHA384: bytes.fromhex("06052b81040022"),
    Algorithm.ED25519: bytes.fromhex("06032b6570"),
}
_PUBLIC = {Algorithm.ECDSAP256SHA256: 64, Algorithm.ECDSAP384SHA384: 96, Algorithm.ED25519: 32}  # octets
_SIGN: dict[Algorithm, tuple[Mechanism, Callable[[bytes], bytes]]] = {
    Algorithm.RSASHA256: (Mechanism.SHA256_RSA_PKCS, bytes),
    Algorithm.ECDSAP256SHA256: (Mechanism.ECDSA, lambda octets: hashlib.sha256(octets).digest()),
    Algorithm.ECDSAP384SHA384: (Mechanism.ECDSA, lambda octets: hashlib.sha384(octets).digest()),
    Algorithm.ED25519: (Mechanism.EDDSA, bytes),
}
_SECRET = {
    Attribute.TOKEN: True,
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
}
_OURS = re.compile(r".*\.\|(\d+\|[a-z]+)?\Z", re.DOTALL)
_PIN_PROBLEMS = (
    problems.PinIncorrect,
    problems.PinInvalid,
    problems.PinLenRange,
    problems.PinExpired,
    problems.PinLocked,
    problems.UserPinNotInitialized,
)


class Hsm:
    """The token of the label *token* that the library *module* knows; its PIN is in the file *pin*."""

    def __init__(self, module: Path, token: str, pin: Path) -> None:
        self.name = PREFIX + token
        self._module = str(module)
        self._token = token
        self._pin = pin
        self._refused: bytes | None = None  # the digest of a PIN that was refused
        self._lock = threading.Lock()
        self._session: Any = None
        self._found: dict[bytes, tuple[str, Any]] = {}  # label and key by id

    def make(
        self, origin: Name, algorithm: int, role: Role = Role.CSK, taken: Collection[int] = (), vault: str = ""
    ) -> tuple[SigningKey, SealedKey]:
        """Make a key for zone *origin* whose tag is none of *taken*, in the token. Raises `VaultError`.

        Whoever is stopped in the midst of it leaves a key that `kept` lists and no row names.
        """
        if vault not in ("", self.name):
            raise VaultAway(f"the vault {vault} is not here, but {self.name} is; name it in the policy")
        if algorithm not in keys.ALGORITHMS:
            raise VaultError(f"algorithm {algorithm} is not one that zones are signed with here")
        return self._do(lambda session: self._make(session, origin, Algorithm(algorithm), role, taken))

    def _make(
        self, session: Any, origin: Name, algorithm: Algorithm, role: Role, taken: Collection[int]
    ) -> tuple[SigningKey, SealedKey]:
        ident, flags = uuid.uuid4(), keys.flags(role)
        while True:
            public, private = _generated(session, algorithm, ident.bytes, f"{names.to_text(origin)}|")
            rdata = keys.dnskey(flags, algorithm, _public_half(public, algorithm))
            if not private[Attribute.SENSITIVE] or not private[Attribute.NEVER_EXTRACTABLE]:
                _destroy(public, private)
                raise VaultError(f"the token {self._token} makes keys that can be read out; take another")
            tag = keys.tag(rdata)
            if tag not in taken:
                break
            _destroy(public, private)
        label = _label(origin, tag, role.value)
        public[Attribute.LABEL] = private[Attribute.LABEL] = label
        sealed = VERSION + ident.bytes + self._token.encode()
        key = SealedKey(str(ident), algorithm, flags, tag, rdata, sealed, role.value, self.name)
        self._remember(ident.bytes, label, private)
        return self._signing_key(origin, key), key

    def open(self, origin: Name, sealed: SealedKey) -> SigningKey:
        """Find a key of zone *origin*, and see that it is the private half of its DNSKEY. Raises `VaultError`."""
        self._check(origin, sealed)
        key = self._signing_key(origin, sealed)
        challenge = os.urandom(CHALLENGE)
        if not verifies(sealed.public, challenge, key.sign(challenge)):
            raise VaultError(f"{described(origin, sealed)} does not fit its public half; put back the database's copy")
        return key

    def destroy(self, origin: Name, sealed: SealedKey) -> None:
        """Destroy a key of zone *origin* in the token; one that is gone already stays gone. Raises `VaultError`."""
        self._check(origin, sealed)
        self.remove(sealed.id)

    def reseal(self, origin: Name, sealed: SealedKey) -> None:
        """Leave a key as it is: no master key is over a token. Raises `VaultError` where the key is not in this one."""
        self._check(origin, sealed)

    def kept(self) -> list[Kept]:
        """Return the private keys in the token that were made here, whoever else uses it too. Raises `VaultError`."""

        def listed(session: Any) -> list[Kept]:
            found = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
            all_of_them = [(one[Attribute.ID], one[Attribute.LABEL]) for one in found]
            return sorted(
                (Kept(str(uuid.UUID(bytes=ident)), label) for ident, label in all_of_them if _is_ours(ident, label)),
                key=lambda one: (one.label, one.id),
            )

        return self._do(listed)

    def remove(self, ident: str) -> None:
        """Destroy the key of the id *ident*, if it is there and was made here. Raises `VaultError`."""

        def removed(session: Any) -> None:
            place = uuid.UUID(ident).bytes
            self._found.pop(place, None)
            objects = list(session.get_objects({Attribute.ID: place}))
            _destroy(*[one for one in objects if _is_ours(place, one[Attribute.LABEL])])

        self._do(removed)

    def close(self) -> None:
        """End the session."""
        with self._lock:
            self._let_go()

    def _check(self, origin: Name, sealed: SealedKey) -> None:
        """Refuse a row that does not name a key in this token. Raises `VaultError`."""
        expected = VERSION + uuid.UUID(sealed.id).bytes + self._token.encode() if _is_uuid(sealed.id) else b""
        if sealed.vault != self.name:
            raise VaultAway(
                f"{described(origin, sealed)} is in the vault {sealed.vault}, but {self.name} is here;"
                " start zone-signer with its --pkcs11-token"
            )
        if sealed.sealed != expected:
            raise VaultError(
                f"{described(origin, sealed)} was damaged or belongs elsewhere; put back the database's copy"
            )
        if sealed.algorithm not in keys.ALGORITHMS:
            raise VaultError(f"{described(origin, sealed)} is of algorithm {sealed.algorithm}, which is not used here")
        check_public(origin, sealed)

    def _signing_key(self, origin: Name, sealed: SealedKey) -> SigningKey:
        place = uuid.UUID(sealed.id).bytes
        label = _label(origin, sealed.tag, sealed.role)
        where = described(origin, sealed)
        mechanism, prepared = _SIGN[Algorithm(sealed.algorithm)]

        def sign(octets: bytes) -> bytes:
            digest = prepared(octets)
            made = self._do(lambda session: self._find(session, place, label, where).sign(digest, mechanism=mechanism))
            return bytes(made)

        return SigningKey(sign, sealed.public, blocks=True)

    def _find(self, session: Any, place: bytes, label: str, where: str) -> Any:
        named, found = self._found.get(place, ("", None))
        if found is None:
            one = list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: place}))
            if len(one) == 1:
                named, found = one[0][Attribute.LABEL], one[0]
                self._remember(place, named, found)
        if named != label:
            raise VaultError(f"{where} is not in the token {self._token}; put back the token's copy")
        return found

    def _remember(self, place: bytes, label: str, key: Any) -> None:
        if len(self._found) >= CACHED:
            self._found.clear()
        self._found[place] = label, key

    def _do(self, work: Callable[[Any], Result]) -> Result:
        """Do *work* with the session, in a new one if it fails. Raises `VaultError`."""
        with self._lock:
            for left in reversed(range(TRIES)):
                try:
                    if self._session is None:
                        self._session = self._connected()
                    return work(self._session)
                except (problems.MechanismInvalid, problems.FunctionNotSupported) as error:
                    raise VaultError(f"the token {self._token} cannot do that: {_reason(error)}") from None
                except PKCS11Error as error:
                    self._let_go()
                    if not left:
                        raise VaultAway(
                            f"the token {self._token} does not work: {_reason(error)}; see that it is there"
                        ) from None
            raise AssertionError

    def _connected(self) -> Any:
        pin = _read_pin(self._pin)
        digest = hashlib.sha256(pin.encode()).digest()
        if digest == self._refused:
            raise VaultAway(f"the token {self._token} refused the PIN in {self._pin}; put the right one there")
        token = pkcs11.lib(self._module).get_token(token_label=self._token)
        try:
            return token.open(rw=True, user_pin=pin)
        except _PIN_PROBLEMS as error:
            self._refused = digest
            self._let_go()
            raise VaultAway(
                f"the token {self._token} refuses the PIN in {self._pin}: {_reason(error)}; put the right one there"
            ) from None

    def _let_go(self) -> None:
        """Forget the session and all that was found over it, and have the module start anew."""
        self._session = None
        self._found.clear()
        with contextlib.suppress(PKCS11Error):
            pkcs11.lib(self._module).finalize()

    def __repr__(self) -> str:
        return f"Hsm({self.name})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vault does not leave its process")


def _label(origin: Name, tag: int, role: str) -> str:
    return f"{names.to_text(origin)}|{tag}|{role}"


def _is_ours(ident: bytes, label: str) -> bool:
    return len(ident) == 16 and _OURS.match(label) is not None


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _reason(error: PKCS11Error) -> str:
    """Return what a token said, by the name that PKCS#11 has for it."""
    return f"{type(error).__name__} {error}".strip()


def _read_pin(path: Path) -> str:
    """Return the PIN in a file, which nobody else may read. Raises `VaultError`."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read()
    except OSError as error:
        raise VaultAway(f"the PIN in {path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise VaultAway(f"the PIN in {path} is open to others; make it yours alone with chmod 600")
    try:
        return octets.removesuffix(b"\n").decode()
    except UnicodeDecodeError:
        raise VaultAway(f"the PIN in {path} is not text; put the right one there") from None


def _generated(session: Any, algorithm: Algorithm, ident: bytes, label: str) -> tuple[Any, Any]:
    """Make a pair of keys that stays in the token; return the public and the private one."""
    if algorithm == Algorithm.RSASHA256:
        exponent = keys.RSA_EXPONENT.to_bytes(3, "big")
        public, private = session.generate_keypair(
            KeyType.RSA,
            keys.RSA_BITS,
            id=ident,
            label=label,
            store=True,
            public_template={Attribute.PUBLIC_EXPONENT: exponent, Attribute.ENCRYPT: False, Attribute.WRAP: False},
            private_template=_SECRET,
        )
        return public, private
    kind = KeyType.EC_EDWARDS if algorithm == Algorithm.ED25519 else KeyType.EC
    curve = session.create_domain_parameters(kind, {Attribute.EC_PARAMS: _CURVES[algorithm]}, local=True)
    public, private = curve.generate_keypair(
        id=ident, label=label, store=True, private_template=_SECRET | {Attribute.DERIVE: False}
    )
    return public, private


def _public_half(public: Any, algorithm: Algorithm) -> bytes:
    """Return the public half as a DNSKEY has it."""
    if algorithm == Algorithm.RSASHA256:
        exponent, modulus = public[Attribute.PUBLIC_EXPONENT], public[Attribute.MODULUS]
        return keys.rsa_public(exponent.lstrip(b"\0"), modulus.lstrip(b"\0"))
    # A point stands in an OCTET STRING, and in some tokens as it is; its end is what a DNSKEY has (RFC 6605 §4).
    point: bytes = public[Attribute.EC_POINT]
    return point[-_PUBLIC[algorithm] :]


def _destroy(*objects: Any) -> None:
    for one in objects:
        with contextlib.suppress(problems.ObjectHandleInvalid):  # some tokens take both halves at once
            one.destroy()
