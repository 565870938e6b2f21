"""What a credential may write: the home that it is named after, and what it was granted.

Nothing is writable by default. Three decisions stand here:

- A key called like a home's zone, or enrolled for the home, may write all of that home and by itself
  nothing else: not the delegation of it in the registry's zone.
- To delete a whole name one must be allowed all types there: a key for A and AAAA alone would otherwise
  take away what it may not write.
- An invitation's key covers nothing here, whatever it is called: it is spent by an enrolment.
"""

from __future__ import annotations

from collections.abc import Iterable

from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.dns.spelling import type_to_text


def owns(credential: Credential, zone: int, origin: Name, *, is_home: bool) -> bool:
    """Tell whether *credential* speaks for the home whose zone has the id *zone* and the name *origin*.

    One that was enrolled for a home is bound to its id: it does not come back with the next home of that name.
    """
    if not is_home or credential.invitation is not None:
        return False
    return credential.name == origin if credential.home is None else credential.home == zone


def enters(credential: Credential, zone: int, origin: Name, *, is_home: bool) -> bool:
    """Tell whether *credential* may write anything at all in the zone: the coarse question, before any cost."""
    if credential.invitation is None and zone in credential.zones:
        return True
    return permitted(credential, zone, origin, (), is_home=is_home) is None


def permitted(
    credential: Credential, zone: int, origin: Name, targets: Iterable[tuple[Name, int]], *, is_home: bool
) -> Refusal | None:
    """Refuse an update of the *zone* called *origin* that writes *targets*, unless *credential* may do all of it.

    An update that writes nothing still asks things of the zone, so it needs some right there. What lies
    outside of the zone is left to the prescan, which answers NOTZONE (RFC 2136 §3.4.1.3).
    """
    if owns(credential, zone, origin, is_home=is_home):
        return None
    granted = [] if credential.invitation is not None else [one for one in credential.grants if one.zone == zone]
    if not granted:
        return _stranger(credential, origin)
    for name, rdtype in targets:
        for grant in granted:
            if grant.covers(zone, name, rdtype):
                break
        else:
            if names.is_subdomain(name, origin):
                return _not_granted(credential, name, rdtype)
    return None


def _not_granted(credential: Credential, name: Name, rdtype: int) -> Refusal:
    key, where = names.to_text(credential.name), names.to_text(name)
    if rdtype == Type.ANY:
        text = f"The key {key} may not delete the whole name {where}; delete the types that it may write."
    else:
        text = f"The key {key} may not write {where} {type_to_text(rdtype)}; ask the registry for a grant."
    return Refusal("name-not-granted", Rcode.REFUSED, text, Ede.PROHIBITED)


def _stranger(credential: Credential, origin: Name) -> Refusal:
    return Refusal(
        "zone-not-granted",
        Rcode.REFUSED,
        f"The key {names.to_text(credential.name)} may not write in the zone {names.to_text(origin)}; "
        "ask the registry for a grant.",
        Ede.PROHIBITED,
    )
