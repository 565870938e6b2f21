"""What a home's own CA has issued: from the peer's certificate up to the CA that a TLSA record names (RFC 7671 §5.2).

Law: every certificate on the way is signed by the next, which may sign certificates, and is valid now; and the peer's
own bears the name that was asked for. What is not understood and says that it must be is refused (RFC 5280 §4.2).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)
LONGEST = 8  # certificates from the peer's to the CA's
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)


def fault(shown: Sequence[x509.Certificate], anchor: x509.Certificate, name: str, *, client: bool, now: float) -> str:
    """Say why the first of *shown* is no certificate of *anchor*'s for *name*; nothing where it is one.

    The others of *shown* may lie on the way. *now* is in seconds since 1970.
    """
    at = dt.datetime.fromtimestamp(now, dt.UTC)
    own = shown[0]
    try:
        path = _path(shown, anchor)
        if path is None:
            return "it did not issue the peer's certificate"
        for depth, one in enumerate(path):
            reason = _wrong(one, depth, at)
            if reason:
                return reason
        if not _may_be(own, client=client):
            return f"the certificate is not for TLS {'clients' if client else 'servers'}"
        names = _names(own)
    except ValueError as error:
        return f"a certificate does not parse: {error}"
    if not any(_fits(pattern, name) for pattern in names):
        return f"the certificate is for {', '.join(names) or 'no name'}, and not for {name.rstrip('.')}"
    return ""


def _path(shown: Sequence[x509.Certificate], anchor: x509.Certificate) -> list[x509.Certificate] | None:
    """Return the certificates from the peer's own up to *anchor*, each issued by the next."""
    path = [shown[0]]
    while len(path) < LONGEST:
        if _issued(path[-1], anchor):
            return [*path, anchor]
        following = next((one for one in shown[1:] if one not in path and _issued(path[-1], one)), None)
        if following is None:
            return None
        path.append(following)
    return None


def _issued(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether *issuer* is who *subject* says, and has signed it."""
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _wrong(one: x509.Certificate, depth: int, at: dt.datetime) -> str:
    """Say what is wrong with the certificate at *depth* above the peer's own; nothing where it is right."""
    who = "the certificate" if not depth else "a CA's certificate on the way"
    if not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
        return f"{who} is not valid now ({one.not_valid_before_utc:%Y-%m-%d} to {one.not_valid_after_utc:%Y-%m-%d})"
    odd = [extension.oid for extension in one.extensions if extension.critical and extension.oid not in _UNDERSTOOD]
    if odd:
        return f"{who} has a critical extension that is not understood here ({odd[0].dotted_string})"
    if not depth:
        return ""
    constraints = _extension(one, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return "a certificate on the way is no CA's"
    if constraints.path_length is not None and depth - 1 > constraints.path_length:
        return "there are more CAs on the way than one of them allows"
    usage = _extension(one, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return "a CA on the way may not sign certificates"
    return ""


def _may_be(own: x509.Certificate, *, client: bool) -> bool:
    """Tell whether the certificate is for what the peer does (RFC 5280 §4.2.1.12)."""
    usages = _extension(own, x509.ExtendedKeyUsage)
    if usages is None:
        return True
    wanted = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    return wanted in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages


def _names(own: x509.Certificate) -> list[str]:
    found = _extension(own, x509.SubjectAlternativeName)
    return [] if found is None else found.get_values_for_type(x509.DNSName)


def _fits(pattern: str, name: str) -> bool:
    """Compare names as RFC 9525 §6.3 has it: a wildcard is the whole first label and stands for one."""
    have, asked = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if have.startswith("*."):
        first, _, rest = asked.partition(".")
        return bool(first) and rest == have[2:]
    return have == asked


def _extension(one: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    """Return an extension of *one*, None where it has none. Raises `ValueError`."""
    try:
        return one.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
