"""RFC 2136 as functions: whether the conditions of an update hold, and what it changes.

Values in, values out. Work in the order of §3: `parse`, `prerequisites`, `prescan`, then `apply`, whose
`ChangeSet` the caller gives to the view and to the journal. The serial is raised once for all updates of
a batch, when their edition is made. Here are only a zone's unsigned records: what the signer publishes
beside them is never seen and never written, so deleting a whole name leaves it alone.
"""

from __future__ import annotations

from bisect import insort

from ddns.dns import names, records, twin
from ddns.dns.codes import SIGNER_TYPES, Class, Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.dns.refusal import Refusal
from ddns.dns.spelling import type_to_text
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.limits import DEFAULT, Limits
from ddns.zone.request import Operation, Prerequisite, Update, parse
from ddns.zone.view import View

__all__ = ["Operation", "Prerequisite", "Update", "apply", "parse", "prerequisites", "prescan"]

_IN = int(Class.IN)
_ANY = int(Class.ANY)
_TYPE_ANY = int(Type.ANY)
_SOA = int(Type.SOA)
_NS = int(Type.NS)
_DS = int(Type.DS)
_CNAME = int(Type.CNAME)
_DNAME = int(Type.DNAME)
_WKS = 11  # RFC 1035 §3.4.2
_WKS_HEAD = 5  # octets of address and protocol

# What may stand beside a CNAME (RFC 3007 §3.1.1 for KEY, RFC 4034 §3 and §4, RFC 2535 §5.1 for their elders).
_BESIDE_CNAME = frozenset({Type.KEY, Type.SIG, Type.NXT, Type.RRSIG, Type.NSEC})
# What only a signer makes, here or elsewhere: alone it would belong to nothing that is published.
_SIGNATURES = frozenset({Type.RRSIG, Type.NSEC, Type.NSEC3})
# What there is one of at a name: adding another replaces it (RFC 2136 §3.4.2.2, RFC 6672 §5.2).
_SINGLE = frozenset({Type.SOA, Type.CNAME, Type.DNAME})

_Node = dict[int, RRset]


def prerequisites(update: Update, view: View) -> Refusal | None:
    """Refuse *update* where the zone is not as it demands (RFC 2136 §3.2)."""
    exact: dict[tuple[Name, int], set[Rdata]] = {}
    for wanted in update.prerequisites:
        if wanted.rdclass == _IN:
            exact.setdefault((wanted.name, wanted.type), set()).add(wanted.rdata)
            continue
        if wanted.type == _TYPE_ANY:
            exists = bool(view.get(wanted.name))
            if wanted.rdclass == _ANY and not exists:
                return _unmet("name-not-in-use", Rcode.NXDOMAIN, wanted.name, "has no records")
            if wanted.rdclass != _ANY and exists:
                return _unmet("name-in-use", Rcode.YXDOMAIN, wanted.name, "has records")
            continue
        exists = view.rrset(wanted.name, wanted.type) is not None
        if wanted.rdclass == _ANY and not exists:
            return _unmet("rrset-missing", Rcode.NXRRSET, wanted.name, "does not exist", wanted.type)
        if wanted.rdclass != _ANY and exists:
            return _unmet("rrset-exists", Rcode.YXRRSET, wanted.name, "exists", wanted.type)
    if update.prerequisite_fault is not None:
        return update.prerequisite_fault
    for (name, rdtype), rdatas in exact.items():
        rrset = view.rrset(name, rdtype)
        if rrset is None or set(rrset.rdatas) != rdatas:
            return _unmet("rrset-differs", Rcode.NXRRSET, name, "is not as demanded", rdtype)
    return None


def prescan(update: Update) -> Refusal | None:
    """Refuse *update* where an operation is malformed (RFC 2136 §3.4.1); nothing has been touched then."""
    return update.fault


def apply(update: Update, view: View, *, signed: bool, limits: Limits = DEFAULT) -> ChangeSet | Refusal:
    """Return what *update* changes, in message order (RFC 2136 §3.4.2), all of it or a refusal.

    *signed* says that the zone has a signer, which owns some types. The view is not changed, the
    serial is not raised. An empty change set means that the zone is as the update wants it.
    """
    if update.fault is not None:
        return update.fault
    asked = update.operations
    if asked:
        before = view.get(asked[0].name)
        plain = twin.apply(
            asked, before, update.zone, RRset, RRsetChange,
            limits.types_per_name, limits.records_per_rrset, limits.octets_per_rrset,
        )  # fmt: skip
        if plain is not None:
            return ChangeSet(plain)
    return _apply(update, view, signed=signed, limits=limits)


def _apply(update: Update, view: View, *, signed: bool, limits: Limits) -> ChangeSet | Refusal:
    origin = update.zone
    nodes: dict[Name, _Node] = {}
    for asked in update.operations:
        name, rdtype = asked.name, asked.type
        if rdtype in (SIGNER_TYPES if signed else _SIGNATURES):
            return _signers(name, rdtype)
        node = nodes.get(name)
        if node is None:
            node = nodes[name] = {rrset.type: rrset for rrset in view.get(name)}
        if asked.rdclass == _IN:
            refusal = _add(node, asked, origin, limits)
            if refusal is not None:
                return refusal
        elif asked.rdclass == _ANY:
            _delete_rrsets(node, asked, origin)
        else:
            _delete_record(node, asked, origin)
    return _difference(nodes, view, limits)


def _add(node: _Node, asked: Operation, origin: Name, limits: Limits) -> Refusal | None:
    """Add one record to its name (RFC 2136 §3.4.2.2); what may not stand beside what is there is skipped."""
    name, rdtype, ttl, rdata = asked.name, asked.type, asked.ttl, asked.rdata
    there = node.get(rdtype)
    if rdtype == _SOA:
        # Only the zone's own SOA, and only forwards.
        if there is None or name != origin:
            return None
        if not records.serial_newer(records.soa_serial(rdata), records.soa_serial(there.rdatas[0])):
            return None
    elif rdtype == _CNAME:
        if any(other != _CNAME and other not in _BESIDE_CNAME for other in node):
            return None
    elif _CNAME in node and rdtype not in _BESIDE_CNAME:
        return None
    elif rdtype == _DS and name == origin:
        return Refusal(
            "ds-at-apex",
            Rcode.REFUSED,
            f"The DS records of {names.to_text(name)} belong into the zone above it; update that one.",
            Ede.PROHIBITED,
        )
    if there is None:
        if len(node) >= limits.types_per_name:
            return _too_much("too-many-types", name, f"may have records of {limits.types_per_name} types at most")
        node[rdtype] = RRset(name, rdtype, ttl, (rdata,))
        return None
    if rdtype in _SINGLE:
        node[rdtype] = RRset(name, rdtype, ttl, (rdata,))
        return None
    rdatas = there.rdatas
    if rdata not in rdatas:
        kept = list(rdatas)
        if rdtype == _WKS:
            kept = [other for other in kept if other[:_WKS_HEAD] != rdata[:_WKS_HEAD]]
        if len(kept) >= limits.records_per_rrset:
            what = f"may have {limits.records_per_rrset} {type_to_text(rdtype)} records at most"
            return _too_much("rrset-too-long", name, what)
        insort(kept, rdata)
        rdatas = tuple(kept)
    elif ttl == there.ttl:
        return None
    # The whole RRset takes the new TTL (RFC 2181 §5.2).
    node[rdtype] = RRset(name, rdtype, ttl, rdatas)
    return None


def _delete_rrsets(node: _Node, asked: Operation, origin: Name) -> None:
    """Delete an RRset, or all of a name (RFC 2136 §3.4.2.3); the apex keeps its SOA and NS."""
    kept = (_SOA, _NS) if asked.name == origin else ()
    if asked.type == _TYPE_ANY:
        for rdtype in [rdtype for rdtype in node if rdtype not in kept]:
            del node[rdtype]
    elif asked.type not in kept:
        node.pop(asked.type, None)


def _delete_record(node: _Node, asked: Operation, origin: Name) -> None:
    """Delete one record (RFC 2136 §3.4.2.4); never the SOA, never the last NS of the apex."""
    there = node.get(asked.type)
    if there is None or asked.rdata not in there.rdatas or asked.type == _SOA:
        return
    rdatas = tuple(rdata for rdata in there.rdatas if rdata != asked.rdata)
    if rdatas:
        node[asked.type] = RRset(there.name, there.type, there.ttl, rdatas)
    elif asked.type != _NS or asked.name != origin:
        del node[asked.type]


def _difference(nodes: dict[Name, _Node], view: View, limits: Limits) -> ChangeSet | Refusal:
    """Return how *nodes* differ from *view*, or refuse an RRset that has grown too big."""
    changes = []
    for name, node in nodes.items():
        before = view.get(name)
        for was in before:
            now = node.pop(was.type, None)
            if now is was:
                continue
            if now is None or now != was:
                changes.append(RRsetChange(name, was.type, was, now))
        changes += [RRsetChange(name, rdtype, None, now) for rdtype, now in node.items()]
    for change in changes:
        if change.after is None:
            continue
        octets = sum(map(len, change.after.rdatas))
        if octets <= limits.octets_per_rrset:
            continue
        if change.before is None or octets > sum(map(len, change.before.rdatas)):
            what = f"may have {limits.octets_per_rrset} octets of {type_to_text(change.type)} data at most"
            return _too_much("rrset-too-big", change.name, what)
    return ChangeSet(tuple(changes))


def _unmet(code: str, rcode: Rcode, name: Name, how: str, rdtype: int | None = None) -> Refusal:
    what = names.to_text(name) if rdtype is None else f"{names.to_text(name)} {type_to_text(rdtype)}"
    return Refusal(code, rcode, f"A prerequisite is not met: {what} {how}; look again and send a new update.")


def _signers(name: Name, rdtype: int) -> Refusal:
    return Refusal(
        "type-is-signers",
        Rcode.REFUSED,
        f"The {type_to_text(rdtype)} records of {names.to_text(name)} are made by the signer; leave them out.",
        Ede.PROHIBITED,
    )


def _too_much(code: str, name: Name, bound: str) -> Refusal:
    return Refusal(
        code, Rcode.REFUSED, f"The name {names.to_text(name)} {bound}; delete some in the same update.", Ede.PROHIBITED
    )
