"""Entity attestation tokens (RFC 9711), as JWT (RFC 7519) and as CWT (RFC 8392): what a box's hardware says of a key.

Both are read into one form: claims by their names in JSON, octets as base64url, enumerations by name. So a rule about
`dbgstat` means the same for a token in JSON and for one in CBOR. Who signed is told, not judged.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ddns.proof import b64, cose, jwk, jws, strict_json
from ddns.proof.bad import BadProof
from ddns.proof.cbor import BadCbor, Tag
from ddns.proof.cbor import read as read_cbor
from ddns.proof.jwk import PublicJwk
from ddns.proof.key_signature import CLAIM, KeySignature

JWT = "application/eat+jwt"  # RFC 9782
CWT = "application/eat+cwt"
MEDIA = frozenset({JWT, CWT})
MOST_NONCES = 8  # ours
LATENESS = 300  # seconds by which a box's clock may be ahead of ours

# RFC 8392 §4, RFC 8747 §3.1, RFC 9711 §10.2: names and keys of claims
_CLAIMS = {
    1: "iss", 2: "sub", 3: "aud", 4: "exp", 5: "nbf", 6: "iat", 7: "cti", 8: "cnf", 10: "eat_nonce", 256: "ueid",
    257: "sueids", 258: "oemid", 259: "hwmodel", 260: "hwversion", 261: "uptime", 262: "oemboot", 263: "dbgstat",
    264: "location", 265: "eat_profile", 266: "submods", 267: "bootcount", 268: "bootseed", 269: "dloas",
    270: "swname", 271: "swversion", 272: "manifests", 273: "measurements", 274: "measres", 275: "intuse",
}  # fmt: skip
_ENUMERATIONS = {
    "dbgstat": ("enabled", "disabled", "disabled-since-boot", "disabled-permanently", "disabled-fully-and-permanently"),
    "intuse": ("", "generic", "registration", "provisioning", "csr", "pop"),
}
_COSE_KEY = 1  # RFC 8747 §3.1
_BINARY_NONCE = 32  # octets of a nonce that was decoded before it was put into CBOR


class Evidence(msgspec.Struct, frozen=True):
    """What a token says: *claims* by name, *nonces* as the text that was given out, *key* the one that it speaks for.

    Times are seconds since 1970, None where the token does not say; *certificates* came along with the signature.
    """

    claims: dict[str, Any]
    nonces: tuple[str, ...]
    key: PublicJwk | None
    expires: int | None
    begins: int | None
    issued: int | None
    certificates: tuple[bytes, ...]
    structure: jws.Signed | cose.Sign1 | KeySignature

    @property
    def payload(self) -> bytes:
        """Return the octets that were signed."""
        return self.structure.payload

    def verify(self, key: PublicJwk) -> bool:
        """Tell whether *key* signed the token."""
        if isinstance(self.structure, jws.Signed):
            return jws.verify(self.structure, 0, key)
        if isinstance(self.structure, KeySignature):
            return self.structure.verify(key)
        return cose.verify(self.structure, key)


def read(octets: bytes, media: str) -> Evidence:
    """Return what the token *octets* of the type *media* says. Raises `BadProof` (`evidence-malformed`)."""
    if media == JWT:
        return read_jwt(octets)
    if media == CWT:
        return read_cwt(octets)
    raise BadProof("evidence-malformed", f"Evidence is sent as {JWT} or {CWT}.")


def read_jwt(octets: bytes) -> Evidence:
    """Return what a signed JWT says. Raises `BadProof` (`evidence-malformed`)."""
    try:
        signed = jws.read(octets)
        claims = strict_json.members(signed.payload)
        cnf = claims.get("cnf")
        key = None
        if cnf is not None:
            if not isinstance(cnf, dict) or not isinstance(cnf.get("jwk"), dict):
                raise _malformed("its cnf holds no jwk")
            key = jwk.from_members(cnf["jwk"])
    except BadProof as error:
        raise BadProof("evidence-malformed", error.sentence) from None
    if len(signed.signatures) != 1:
        raise _malformed("it has several signatures")
    nonces = _nonces(claims)
    if not all(isinstance(one, str) for one in nonces):
        raise _malformed("its eat_nonce is no text")
    return _evidence({name: _named(name, one) for name, one in claims.items()}, tuple(nonces), key,
                     signed.signatures[0].x5c, signed)  # fmt: skip


def read_cwt(octets: bytes) -> Evidence:
    """Return what a CWT in a COSE_Sign1 says. Raises `BadProof` (`evidence-malformed`)."""
    signed = cose.read(octets)
    try:
        held = read_cbor(signed.payload)
    except BadCbor as error:
        raise _malformed(str(error)) from None
    if not isinstance(held, dict):
        raise _malformed("its claims are no map")
    claims = _by_name(held)
    key = None
    if (cnf := held.get(8, held.get("cnf"))) is not None:
        if not isinstance(cnf, dict) or _COSE_KEY not in cnf:
            raise _malformed("its cnf holds no COSE_Key")
        key = cose.key_of(cnf[_COSE_KEY])
    nonces = _nonces({"eat_nonce": held.get(10, held.get("eat_nonce"))})
    if not all(isinstance(one, bytes) for one in nonces):
        raise _malformed("its eat_nonce is no octets")
    texts = (b64.encode(one) if len(one) == _BINARY_NONCE else one.decode("ascii", "replace") for one in nonces)
    return _evidence(claims, tuple(texts), key, signed.x5chain, signed)


def check_times(evidence: Evidence, now: int) -> None:
    """Raise `BadProof` unless the token holds at *now*, in seconds since 1970."""
    if evidence.expires is not None and evidence.expires <= now:
        raise BadProof("evidence-expired", "The evidence is over; have the box make a new one.")
    ahead = now + LATENESS
    if (evidence.begins or 0) > ahead or (evidence.issued or 0) > ahead:
        raise BadProof("evidence-not-yet", "The evidence comes from the future; set the clock of the box.")


def _evidence(
    claims: dict[str, Any], nonces: tuple[str, ...], key: PublicJwk | None, certificates: tuple[bytes, ...],
    structure: jws.Signed | cose.Sign1,
) -> Evidence:  # fmt: skip
    claims.pop(CLAIM, None)  # no token says that it is none
    exp, nbf, iat = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    return Evidence(claims, nonces, key, exp, nbf, iat, certificates, structure)


def _nonces(claims: dict[str, Any]) -> list[Any]:
    """Return the nonces: one, or an array of them (RFC 9711 §4.1). Raises `BadProof`."""
    held = claims.get("eat_nonce")
    found = held if isinstance(held, list) else [] if held is None else [held]
    if len(found) > MOST_NONCES:
        raise _malformed(f"it has more than {MOST_NONCES} nonces")
    return found


def _time(claims: dict[str, Any], name: str) -> int | None:
    """Return a NumericDate. Raises `BadProof`."""
    held = claims.get(name)
    if held is None:
        return None
    if isinstance(held, bool) or not isinstance(held, int | float) or not 0 <= held < 2**53:
        raise _malformed(f"its {name} is no time")
    return int(held)


def _by_name(held: dict[Any, Any]) -> dict[str, Any]:
    """Return claims of CBOR as JSON names them. Raises `BadProof` where one is there by name and by number."""
    found: dict[str, Any] = {}
    for label, value in held.items():
        name = _CLAIMS.get(label, str(label)) if isinstance(label, int) else _plain(label)
        if name in found:
            raise _malformed(f"its claim {name} is there twice")
        if name == "submods" and isinstance(value, dict):
            found[name] = {
                str(_plain(sub)): _by_name(one) if isinstance(one, dict) else _plain(one) for sub, one in value.items()
            }
        else:
            found[name] = _named(name, _plain(value))
    return found


def _named(name: str, value: Any) -> Any:
    """Return the value of an enumeration by its name."""
    words = _ENUMERATIONS.get(name)
    if words is None or isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(words):
        return value
    return words[value]


def _plain(value: Any) -> Any:
    """Return a value of CBOR as JSON would have it: octets as base64url, keys as text."""
    if isinstance(value, bytes):
        return b64.encode(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, Tag):
        return _plain(value.value)
    return value


def _malformed(why: str) -> BadProof:
    return BadProof("evidence-malformed", f"The attestation token cannot be used: {why}.")
