"""Service registration (RFC 9665) as values: what an update registers, first come first served, and what it does.

A host signs with a key that is in the update itself; the name belongs to the first key that asks for it, for
as long as its KEY record stands. Law: nothing here looks at signatures or at who may; `read` tells the shape,
`taken` whether the names are free or the same key's, `operations` what is to be done in RFC 2136's words.

Not here, and so not accepted: `default.service.arpa.` as the zone, and host names of more than one label.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ddns.dns import names
from ddns.dns.codes import Class, Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, names_in
from ddns.dns.refusal import Refusal
from ddns.zone.lease import Granted, Leases, Place
from ddns.zone.request import Operation, Update
from ddns.zone.view import View

POLICY = "srp"  # the kind of the credential that lets hosts register in a zone; its *public* holds their networks
POLICY_ALGORITHM = "first-come"
_POLICY_LABEL = b"_srp"

_IN = int(Class.IN)
_ANY = int(Class.ANY)
_NONE = int(Class.NONE)
_TYPE_ANY = int(Type.ANY)
_KEY, _PTR, _SRV, _TXT = int(Type.KEY), int(Type.PTR), int(Type.SRV), int(Type.TXT)
_OF_HOST = frozenset({int(Type.A), int(Type.AAAA), _KEY})
_OF_SERVICE = frozenset({_SRV, _TXT, _KEY})
_PROTOCOLS = (b"\4_tcp", b"\4_udp")
_META_SERVICE = b"\7_dns-sd"  # what a domain says of its own services (RFC 6763 §9, §11)
_WILDCARD = b"\1*"
_SUBTYPE = b"\4_sub"

# What other protocols look for at a domain's names: nobody gets these for having come first.
RESERVED = frozenset(
    b"www mail mx smtp smtps imap pop pop3 ns ns0 ns1 ns2 ns3 ns4 dns ftp ldap sip xmpp ntp time proxy vpn gateway "
    b"router host localhost local home isatap wpad autoconfig autodiscover mta-sts openpgpkey security whois admin "
    b"administrator hostmaster postmaster webmaster root registry nameplate api".split()
)


class Registration(msgspec.Struct, frozen=True):
    """A valid SRP Update (RFC 9665 §3.3.1): *host* and its *key*, and the instances that it describes or removes."""

    host: Name
    key: Rdata
    described: tuple[Name, ...]
    removed: tuple[Name, ...]


def policy_name(zone: Name) -> Name:
    """Return the name of the policy of *zone*. Raises `BadName` where it would be too long."""
    return names.prepend(_POLICY_LABEL, zone)


def read(update: Update, signer: Name) -> Registration | Refusal | None:
    """Return what *update*, signed in the name of *signer*, registers; None where it is no SRP Update.

    One that is, and breaks a rule that has a code of its own, is a refusal.
    """
    lease = update.lease
    if update.prerequisites or update.prerequisite_fault or update.fault or signer == update.zone:
        return None
    if lease is not None and lease.lease > (lease.lease if lease.key_lease is None else lease.key_lease):
        return None
    cleared: dict[Name, list[Operation]] = {}
    pointers: list[Operation] = []
    for one in update.operations:
        if one.rdclass == _ANY and one.type == _TYPE_ANY and one.name not in cleared:
            cleared[one.name] = []
        elif one.type == _PTR and one.rdclass in (_IN, _NONE):
            pointers.append(one)
        elif one.rdclass == _IN and one.name in cleared:
            cleared[one.name].append(one)
        else:
            return None
    host = cleared.pop(signer, None)
    if host is None or any(one.type not in _OF_HOST for one in host):
        return None
    keys = [one.rdata for one in host if one.type == _KEY]
    if len(keys) != 1 or not _is_host(signer, update.zone):
        return None
    targets: dict[Name, bool] = {}
    for instance, added in cleared.items():
        if not _describes(instance, added, signer, keys[0], update.zone):
            return None
        targets[instance] = any(one.type == _SRV for one in added)
    for one in pointers:
        target = one.rdata
        if targets.get(target) is not (one.rdclass == _IN) or not _points(one.name, target):
            return None
    label = signer[1 : 1 + signer[0]]
    if label in RESERVED or label.startswith((b"_", b"*")):
        return Refusal(
            "srp-name-reserved",
            Rcode.REFUSED,
            f"The name {names.to_text(signer)} is not given to whoever comes first; choose another.",
            Ede.PROHIBITED,
        )
    return _unequal(update.operations) or Registration(
        signer,
        keys[0],
        tuple(instance for instance, described in targets.items() if described),
        tuple(instance for instance, described in targets.items() if not described),
    )


def _is_host(name: Name, zone: Name) -> bool:
    return bool(name[0]) and names.parent(name) == zone


def _describes(instance: Name, added: Sequence[Operation], host: Name, key: Rdata, zone: Name) -> bool:
    """Tell whether this is a Service Description Instruction, or the removal of one (RFC 9665 §3.3.1.2)."""
    services = [one for one in added if one.type == _SRV]
    if any(one.type not in _OF_SERVICE for one in added) or len(services) > 1:
        return False
    if any(one.type == _KEY and one.rdata != key for one in added):
        return False
    if instance[:2] == _WILDCARD or not _is_type(names.parent(instance), zone):
        return False
    if not services:
        return all(one.type == _KEY for one in added)
    begin, end = names_in(_SRV, services[0].rdata)[0]
    return services[0].rdata[begin:end] == host and any(one.type == _TXT for one in added)


def _is_type(name: Name, zone: Name) -> bool:
    """Tell whether *name* is a service type in *zone*, such as `_ipp._tcp` (RFC 6763 §7)."""
    if not name[0] or name[1:2] != b"_" or name[: len(_META_SERVICE)] == _META_SERVICE:
        return False
    protocol = names.parent(name)
    return protocol[:5] in _PROTOCOLS and names.parent(protocol) == zone


def _points(owner: Name, instance: Name) -> bool:
    """Tell whether a PTR at *owner* may point to *instance*: its own type, or a subtype of it (RFC 6763 §7.1)."""
    kind = names.parent(instance)
    if owner == kind:
        return True
    above = names.parent(owner) if owner[0] else owner
    return above[:5] == _SUBTYPE and names.parent(above) == kind


def _unequal(operations: Iterable[Operation]) -> Refusal | None:
    """Refuse records of one RRset whose TTLs differ (RFC 9665 §4)."""
    seen: dict[tuple[Name, int], int] = {}
    for one in operations:
        if one.rdclass == _IN and seen.setdefault((one.name, one.type), one.ttl) != one.ttl:
            return Refusal(
                "srp-ttls-differ",
                Rcode.REFUSED,
                f"The records of one type at {names.to_text(one.name)} have different TTLs; give them one.",
                Ede.PROHIBITED,
            )
    return None


def taken(registration: Registration, view: View, leases: Leases) -> Refusal | None:
    """Refuse a name that has records without this key (RFC 9665 §3.3.3); one without any is free.

    Refuse one too whose other records are not all registered: what the zone's owner wrote is no host's to delete.
    """
    for name in (registration.host, *registration.described, *registration.removed):
        there = view.get(name)
        key = view.rrset(name, _KEY)
        others = (
            rdata
            for rrset in there
            for rdata in rrset.rdatas
            if rrset.type != _KEY and not leases.is_registered((name, rrset.type, rdata))
        )
        if there and (key is None or key.rdatas != (registration.key,) or any(True for _ in others)):
            return Refusal(
                "srp-name-taken",
                Rcode.YXDOMAIN,
                f"The name {names.to_text(name)} is somebody else's; choose another.",
                Ede.PROHIBITED,
            )
    return None


def operations(
    registration: Registration, asked: Sequence[Operation], view: View, granted: Granted, members: Iterable[Place]
) -> tuple[Operation, ...]:
    """Return what is to be done for *registration*, whose own operations are *asked*.

    *members* are the records that are part of the host's registration so far. Each instance gets the key too, so that
    it stays the host's until the key lease ends. Pointers to an instance go with it; without a lease all goes.
    """
    touched = {*registration.described, *registration.removed}
    kept = {(one.name, one.rdata) for one in asked if one.type == _PTR and one.rdclass == _IN}
    out = [
        Operation(name, _PTR, _NONE, 0, rdata)
        for name, rdtype, rdata in members
        if rdtype == _PTR and rdata in touched and (name, rdata) not in kept
    ]
    out += asked
    keyed = {one.name for one in asked if one.type == _KEY and one.rdclass == _IN}
    for one in asked:
        if one.type == _SRV and one.rdclass == _IN and one.name not in keyed:
            out.append(Operation(one.name, _KEY, _IN, one.ttl, registration.key))
    for name in registration.removed:
        there = view.rrset(name, _KEY)
        if there is not None and name not in keyed:
            out.append(Operation(name, _KEY, _IN, there.ttl, registration.key))
    if granted.lease:
        return tuple(out)
    for name, rdtype, rdata in members:
        if rdtype != _KEY:
            out.append(Operation(name, rdtype, _NONE, 0, rdata))
        elif (there := view.rrset(name, _KEY)) is not None and name not in touched and name != registration.host:
            out.append(Operation(name, _KEY, _IN, there.ttl, rdata))
    return tuple(out)
