"""Statements: what owners, gateways, boxes and claimants say, each once, in words that one type describes.

A statement is the payload of a JWS (`ddns.proof.jws`) whose signatures stand in the order of `SIGNERS`. Each
signature shows its own key (`jwk`, or `x5c` for a box with a certificate), so that it is verified before anything is
looked up; an invitation's one-time secret signs as HS256 with the invitation's name as `kid`. The types are shared by
the registry, the gateway and the phone; unknown fields are refused.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ddns.dns import names
from ddns.dns.names import BadName, Name
from ddns.proof import b64, cms, jwk, jws, strict_json
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PrivateKey, PublicJwk
from ddns.proof.jws import Signed

MEDIA_TYPE = "application/jose+json"
TYP = "nameplate+jws"

MINUTES = 900  # seconds that a statement may be good for, where nothing else is said
CARRIED = 30 * 86_400  # one that a phone carries
TRANSFER = 90 * 86_400  # one that a seller gives to a buyer
EARLY = 300  # seconds that a sender's clock may be ahead of ours

Text = Annotated[str, msgspec.Meta(max_length=255)]
Sentence = Annotated[str, msgspec.Meta(max_length=400)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]  # seconds since 1970
Once = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{16,64}$")]
# SHA-256, base64url: the last character holds four bits of it, and two that are 0.
Digest = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
Octets = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]*$", max_length=49_152)]
Label = Annotated[str, msgspec.Meta(max_length=252)]

Method = Literal["invitation", "qr", "voucher", "attested"]
Role = Literal["owner", "admin", "recovery"]


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Evidence of how a key is held: *value* is base64url of what *type*, a media type, describes."""

    type: Literal["application/eat+jwt", "application/eat+cwt", "application/pkcs10"]
    value: Octets


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act"):
    """What every statement says: to which registry (*aud*), from when to when, and that it is said once (*jti*).

    *sub* is the full name of the home that it is about, empty where there is none. *nonce* is the registry's, where
    freshness has to be shown.
    """

    LONGEST: ClassVar[int] = MINUTES

    aud: Text
    iat: Moment
    exp: Moment
    jti: Once
    sub: Text = ""
    nonce: Octets = ""

    @property
    def act(self) -> str:
        """Return what is to be done."""
        return str(self.__struct_config__.tag)


class Enrol(Statement, frozen=True, kw_only=True, tag="enrol"):
    """Make a home for a gateway key and its owner. *label* empty: any that the registry allocates.

    *owner* is the thumbprint of the only key that may sign as the owner: without it, whoever carries what a gateway
    has signed could put his own beside. *secret* is that of a bearer's release, base64url; *proof* a JWS over the
    registry's nonce by the box's own key; *voucher*, *request* and *evidence* are what the method shows.
    """

    LONGEST: ClassVar[int] = CARRIED

    method: Method
    label: Label = ""
    owner: Digest | None = None
    kind: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9-]{0,31}$")] = "gateway"
    secret: Octets = ""
    proof: Octets = ""
    request: Octets = ""
    voucher: Octets = ""
    evidence: Evidence | None = None


class BindOwner(Statement, frozen=True, kw_only=True, tag="bind-owner"):
    """Give a home that has no owner its first."""


class Adopt(Statement, frozen=True, kw_only=True, tag="adopt"):
    """Be the first owner of a home by the *code* that the registry's operator has made for it."""

    code: Annotated[str, msgspec.Meta(min_length=16, max_length=64)]


class Replace(Statement, frozen=True, kw_only=True, tag="replace"):
    """Put a new gateway's key in the place of all others. *same_box*: the box was only reset, and stays.

    *evidence* says how the new key is held, over the registry's nonce; without it the key has the tier `token`.
    """

    LONGEST: ClassVar[int] = CARRIED

    same_box: bool = False
    evidence: Evidence | None = None


class AnnounceKey(Statement, frozen=True, kw_only=True, tag="announce-key"):
    """Make a new gateway key known, which stays untrusted until the owner approves it."""


class ApproveKey(Statement, frozen=True, kw_only=True, tag="approve-key"):
    """Put the pending key with the thumbprint *key* in the place of all others."""

    key: Digest


class RevokeKey(Statement, frozen=True, kw_only=True, tag="revoke-key"):
    """Take the live key with the thumbprint *key* away."""

    key: Digest
    reason: Sentence = ""


class RollKey(Statement, frozen=True, kw_only=True, tag="roll-key"):
    """Put a gateway's new key in the place of the one that it has.

    It keeps the old one's tier; but that hardware holds it, it has to show anew, by *evidence*.
    """

    evidence: Evidence | None = None


class Release(Statement, frozen=True, kw_only=True, tag="release"):
    """Let a box go to its buyer: to who knows the secret whose SHA-256 is *bearer*, or to the owner key *receiver*."""

    LONGEST: ClassVar[int] = TRANSFER

    until: Moment
    bearer: Digest | None = None
    receiver: Digest | None = None

    def __post_init__(self) -> None:
        """Refuse a release to nobody, and one to two."""
        if (self.bearer is None) == (self.receiver is None):
            raise ValueError("a release names either bearer or receiver")


class Claim(Statement, frozen=True, kw_only=True, tag="claim"):
    """Claim a box whose seller is silent; the box's own key signs beside the claimant's.

    *owner* is the thumbprint of the only key that may sign as the claimant, as in `Enrol`.
    """

    owner: Digest | None = None


class Object(Statement, frozen=True, kw_only=True, tag="object"):
    """Object to the claim on the box of one's home."""


class Stolen(Statement, frozen=True, kw_only=True, tag="stolen"):
    """Report the box of one's home as stolen: nobody else enrols it."""


class Found(Statement, frozen=True, kw_only=True, tag="found"):
    """Say that the stolen box is back."""


class AddOwnerKey(Statement, frozen=True, kw_only=True, tag="add-owner-key"):
    """Add a key of one's own, an administrator's or a recovery key; the new key signs beside the owner's."""

    role: Role
    note: Annotated[str, msgspec.Meta(max_length=100)] = ""


class RemoveOwnerKey(Statement, frozen=True, kw_only=True, tag="remove-owner-key"):
    """Take the owner's key with the thumbprint *key* away."""

    key: Digest


class Recover(Statement, frozen=True, kw_only=True, tag="recover"):
    """Begin to replace the owner's lost keys by a new one; a recovery key or an administrator's signs before it."""


class ObjectRecovery(Statement, frozen=True, kw_only=True, tag="object-recovery"):
    """Object to a recovery that somebody else has begun."""


class Leave(Statement, frozen=True, kw_only=True, tag="leave"):
    """Close one's home; for 30 days it can return."""


class Return(Statement, frozen=True, kw_only=True, tag="return"):
    """Have back the home that was closed."""


class DeviceKey(Statement, frozen=True, kw_only=True, tag="device-key"):
    """Give the device called *name*, below the home, a key that changes its own name alone; that key signs too."""

    name: Text


class MintKey(Statement, frozen=True, kw_only=True, tag="mint-key"):
    """Make a shared secret that may do one thing: answer ACME challenges of *name*, for *days* days."""

    name: Text
    scope: Literal["acme"] = "acme"
    days: Annotated[int, msgspec.Meta(ge=1, le=400)] = 400


class Token(Statement, frozen=True, kw_only=True, tag="token"):
    """Ask for a token that reads one's home (*sub*), or all that one owns, for 15 minutes."""


AnyStatement = (
    Enrol
    | BindOwner
    | Adopt
    | Replace
    | AnnounceKey
    | ApproveKey
    | RevokeKey
    | RollKey
    | Release
    | Claim
    | Object
    | Stolen
    | Found
    | AddOwnerKey
    | RemoveOwnerKey
    | Recover
    | ObjectRecovery
    | Leave
    | Return
    | DeviceKey
    | MintKey
    | Token
)

# Who signs, in this order: a gateway first, and a key that is not known yet after the one that vouches for it.
SIGNERS: dict[str, tuple[str, ...]] = {
    "enrol": ("gateway", "owner", "method"),  # the last two may be absent: the owner's where the policy says so
    "bind-owner": ("gateway", "owner"),
    "adopt": ("owner",),
    "replace": ("new gateway", "owner or admin"),
    "announce-key": ("new gateway",),
    "approve-key": ("owner or admin",),
    "revoke-key": ("owner or admin",),
    "roll-key": ("gateway", "new gateway"),
    "release": ("owner",),
    "claim": ("claimant", "box"),
    "object": ("owner or admin",),
    "stolen": ("owner or admin",),
    "found": ("owner",),
    "add-owner-key": ("owner", "new key"),
    "remove-owner-key": ("owner, or the key itself",),
    "recover": ("recovery or admin", "new key"),
    "object-recovery": ("owner or admin",),
    "leave": ("owner",),
    "return": ("owner",),
    "device-key": ("gateway or owner", "device"),
    "mint-key": ("gateway or owner",),
    "token": ("gateway, owner or admin",),
}

_DECODER: msgspec.json.Decoder[AnyStatement] = msgspec.json.Decoder(AnyStatement)
_WITHOUT_HOME = frozenset(
    {"enrol", "claim", "add-owner-key", "remove-owner-key", "recover", "object-recovery", "token"}
)


def read(signed: Signed) -> AnyStatement:
    """Return the statement that was signed; no signature is verified yet. Raises `BadProof`."""
    found = strict_json.typed(_DECODER, signed.payload)
    if not found.sub and found.act not in _WITHOUT_HOME:
        raise BadProof("field-wrong", "The statement must say which home it is about: put its full name into sub.")
    registry_of(found)
    home_of(found)
    return found


def encode(statement: AnyStatement) -> bytes:
    """Return *statement* as the octets that are signed."""
    return msgspec.json.encode(statement)


def sign(statement: AnyStatement, *keys: PrivateKey | tuple[str, bytes]) -> bytes:
    """Return *statement* signed by *keys*, in the order of `SIGNERS`; an invitation is its name and its secret."""
    by = [({"typ": TYP, "kid": key[0]}, key[1]) if isinstance(key, tuple) else jws.shown(key, TYP) for key in keys]
    return jws.sign(encode(statement), by)


def timely(statement: Statement, now: int) -> None:
    """Raise `BadProof` unless *statement* holds at *now*, in seconds since 1970, and not longer than its act may."""
    if statement.exp - statement.iat > statement.LONGEST:
        longest = statement.LONGEST
        raise BadProof("statement-too-long", f"The statement is good for too long; at most {longest} s are taken.")
    if statement.iat > now + EARLY:
        raise BadProof("statement-stale", f"The statement comes from the future; set the clock (here it is {now}).")
    if statement.exp <= max(now, statement.iat):
        raise BadProof(
            "statement-stale", f"The statement is over; make a new one, or set the clock (here it is {now})."
        )


def signers(statement: AnyStatement, signed: Signed, *, accepted: bool = True) -> tuple[PublicJwk, ...]:
    """Return the keys that signed *statement*, each verified; of an invitation's signature nothing is said here.

    Unless it is *accepted* already, the owner whom a wish names may have yet to sign. Raises `BadProof` where one
    signature is wrong, missing or too many, or does not show its key.
    """
    fewest, most = _how_many(statement)
    if not fewest <= len(signed.signatures) <= most:
        wanted = ", then ".join(SIGNERS[statement.act])
        raise BadProof("statement-signature-wrong", f"The statement has to be signed by {wanted}, in this order.")
    found = []
    for index in range(min(len(signed.signatures), _keys(statement, signed))):
        key = shown(signed, index)
        if not jws.verify(signed, index, key):
            raise BadProof("statement-signature-wrong", f"Signature {index + 1} of the statement is not by its key.")
        found.append(key)
    if not found:
        raise BadProof("statement-signature-wrong", "The gateway has to sign too, with the key that it is to have.")
    named = statement.owner if isinstance(statement, Enrol | Claim) else None
    place = 0 if isinstance(statement, Claim) else 1
    signed_by = jwk.kid(found[place]) if len(found) > place else None
    if named is not None and signed_by != named and (accepted or signed_by is not None):
        raise BadProof("statement-signature-wrong", "The box named another owner; sign with that owner's key.")
    if len(set(found)) != len(found):
        raise BadProof("statement-signature-wrong", "One key signed twice; each signer has to have a key of its own.")
    return tuple(found)


def registry_of(statement: Statement) -> Name:
    """Return the name of the registry that *statement* is for. Raises `BadProof`."""
    return _name(statement.aud, "aud")


def home_of(statement: AnyStatement) -> Name | None:
    """Return the name of the home that *statement* is about; None: there is none. Raises `BadProof`."""
    if not statement.sub:
        return None
    home, registry = _name(statement.sub, "sub"), registry_of(statement)
    if home == registry or not names.is_subdomain(home, registry):
        raise BadProof("field-wrong", "The home in sub must be below the registry in aud.")
    return home


def _name(text: str, field: str) -> Name:
    try:
        return names.from_text(text)
    except BadName as error:
        raise BadProof("field-wrong", f"The name in {field} is none: {error}.") from None


def _how_many(statement: AnyStatement) -> tuple[int, int]:
    if isinstance(statement, Enrol):
        return 1, 3
    return len(SIGNERS[statement.act]), len(SIGNERS[statement.act])


def _keys(statement: AnyStatement, signed: Signed) -> int:
    """Return how many signatures, from the first on, are by keys: an invitation's is by a secret, and the last."""
    count = len(signed.signatures)
    if isinstance(statement, Enrol) and statement.method == "invitation" and signed.signatures[-1].alg == jws.MAC:
        return count - 1
    return count


def shown(signed: Signed, index: int) -> PublicJwk:
    """Return the key that signature *index* shows, in `jwk` or `x5c`; nothing is verified. Raises `BadProof`."""
    one = signed.signatures[index]
    if one.key is not None and not one.x5c:
        return one.key
    if one.x5c and one.key is None:
        try:
            public = x509.load_der_x509_certificate(one.x5c[0]).public_key()
        except cms.UNREADABLE:
            raise BadProof("statement-malformed", "A certificate in x5c does not parse; mend the program.") from None
        if isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
            return jwk.of(public)
    raise BadProof("statement-signature-wrong", f"Signature {index + 1} has to show its key: put it into jwk.")


def digest_of(text: str) -> bytes:
    """Return the octets of a thumbprint or hash in a statement's field. Raises `BadProof`."""
    return b64.decode(text)


ACTS = tuple(one.__struct_config__.tag for one in get_args(AnyStatement))
