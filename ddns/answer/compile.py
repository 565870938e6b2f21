"""The algorithm of RFC 1034 §4.3.2: from a question and the zones in memory to a draft of the answer.

A draft says which RRsets stand where; `ddns.answer.render` writes it down. Every chain is bounded in
hops, and what an answer leaned on is noted, so that `ddns.answer.table` knows when to forget it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ddns.answer import denial, online
from ddns.answer.answer import Referral
from ddns.answer.image import Kind, Match, Node, Proof, ZoneImage
from ddns.answer.links import Missing, Wanted
from ddns.answer.online import Need, Proofs
from ddns.answer.served import Served, find, only_signatures, rdatas, serve
from ddns.dns import names
from ddns.dns.codes import MAX_NAME, Rcode, Type
from ddns.dns.names import Name

MAX_HOPS = 16  # ours: CNAMEs and DNAMEs followed for one question
MAX_HOSTS = 32  # ours: hosts of one RRset whose addresses are added where nothing requires them
_LEAST = 16  # octets that a record takes at least, with a name to point to: an A record

# What leads on from the RDATA to addresses: where the host's name stands (RFC 1035 §3.3, RFC 2782, RFC 9460 §4.1).
_HOSTS: dict[int, int] = {Type.NS: 0, Type.MX: 2, Type.SRV: 6, Type.SVCB: 2, Type.HTTPS: 2}

# What a wildcard keeps for itself (RFC 4592 §4.2, §4.4), its own record among it that says what it has.
_NOT_GIVEN = frozenset({Type.NS, Type.DNAME, Type.NSEC})

# Which zone a name is in: its image, the id of a zone that is known but not in memory, or None.
Authority = Callable[[Name], ZoneImage | int | None]


class NeedZone(msgspec.Struct, frozen=True):
    """The answer needs the zone *zone_id*, which is not in memory: load it, install it and ask again.

    Where the zone is there through a window, what is *wanted* of it is to be read.
    """

    zone_id: int
    wanted: Wanted | None = None


class Draft:
    """An answer before it is written: RRsets as (owner, RRset) in their sections.

    *negative* is the zone whose SOA says no, with its *proofs*; *glue* must be there, *extra* may be.
    *lasting* tells that the answer is about records that exist and may be remembered; then *owners*
    are the names that it leaned on besides its own, *images* the zones, and *left* that it led outside
    of what is served here. *cut* is the delegation that a plain referral is about, *known* the same
    referral as it was written before. *match* is where the question's name leads. *needs* are RRsets that have to be
    signed first; until then it is not to be written.
    """

    __slots__ = (
        "aa",
        "answer",
        "authority",
        "cut",
        "extra",
        "glue",
        "images",
        "known",
        "lasting",
        "left",
        "match",
        "needs",
        "negative",
        "owners",
        "proofs",
        "rcode",
    )

    def __init__(self) -> None:
        self.aa = True
        self.rcode = Rcode.NOERROR
        self.answer: list[tuple[Name, Served]] = []
        self.authority: list[tuple[Name, Served]] = []
        self.glue: list[tuple[Name, Served]] = []
        self.extra: list[tuple[Name, Served]] = []
        self.negative: ZoneImage | None = None
        self.proofs: list[Proof] = []
        self.lasting = True
        self.owners: list[Name] = []
        self.images: list[ZoneImage] = []
        self.left = False
        self.cut: tuple[ZoneImage, Name] | None = None
        self.known: Referral | None = None
        self.match: Match | None = None
        self.needs: list[Need] | None = None


def compile_answer(
    authority: Authority,
    name: Name,
    rdtype: int,
    *,
    room: int,
    do: bool,
    tcp: bool,
    proofs: Proofs,
    co: bool = False,
) -> Draft | NeedZone | None:
    """Answer the question for *name* and *rdtype*; None where no zone here is its authority.

    *room* is for how many octets of records the asker has; *do* asks for signatures and proofs (RFC
    4035 §3.1), *tcp* allows an ANY question its full answer (RFC 8482 §4.2). *proofs* are what compact zones have had
    signed lately; *co*: the asker takes NXDOMAIN from them (RFC 9824 §5.1).
    """
    draft = Draft()
    asked = name
    seen = {name}
    try:
        while True:
            image = _zone(authority, name, rdtype)
            if isinstance(image, int):
                return NeedZone(image)
            if image is None:
                if name == asked:
                    return None
                # The rest of the chain is for others to answer (RFC 1034 §4.3.2 step 3a).
                draft.left = True
                return draft
            draft.images.append(image)
            if not image.ready:
                draft.rcode = Rcode.SERVFAIL
                draft.lasting = False
                return draft
            match = image.find(name)
            if name is asked:
                draft.match = match
            target = _step(draft, image, match, name, rdtype, room=room, proofs=proofs if do else None, tcp=tcp, co=co)
            if target is None:
                return draft
            if name == asked:
                draft.owners.append(asked)
            draft.owners.append(target)
            if target in seen or len(seen) > MAX_HOPS:
                draft.lasting = False
                return draft
            seen.add(target)
            name = target
    except Missing as missing:
        return NeedZone(missing.zone_id, missing.wanted)


def _zone(authority: Authority, name: Name, rdtype: int) -> ZoneImage | int | None:
    """Return the zone that answers for *name*; the DS of an apex is its parent's, where that delegates it here.

    RFC 1034 §4.3.2 step 2, RFC 4035 §3.1.4.1.
    """
    image = authority(name)
    if rdtype != Type.DS or image is None or name == names.ROOT:
        return image
    if not isinstance(image, int) and name != image.origin:
        return image
    above = authority(names.parent(name))
    if above is None or isinstance(above, int):
        return image if above is None else above  # of a zone that is not in memory and reaches up to there, its id
    match = above.find(name)
    return above if match.kind == Kind.CUT and match.owner == name else image


def _step(
    draft: Draft,
    image: ZoneImage,
    match: Match,
    name: Name,
    rdtype: int,
    *,
    room: int,
    proofs: Proofs | None,
    tcp: bool,
    co: bool,
) -> Name | None:
    """Do step 3 in one zone; return the name to go on with where an alias leads on. No *proofs*: no DO."""
    kind, node, do = match.kind, match.node, proofs is not None
    if kind == Kind.EXACT:
        target = _data(draft, image, name, node, rdtype, room=room, tcp=tcp)
        if target is None and draft.negative is image and do:
            draft.proofs = denial.nodata(image, name)
        return target
    if kind == Kind.NOTHING:
        draft.lasting = False
        draft.negative = image
        if proofs is not None and online.is_compact(image):
            _absent(draft, image, name, rdtype, proofs, co=co)
            return None
        draft.rcode = Rcode.NXDOMAIN
        if do:
            draft.proofs = denial.nxdomain(image, name, match.owner)
        return None
    if kind == Kind.WILDCARD:
        if proofs is not None and online.is_compact(image):
            return _expanded(draft, image, match, name, rdtype, room=room, proofs=proofs, tcp=tcp)
        return _wildcard(draft, image, match, name, rdtype, room=room, do=do, tcp=tcp)
    if kind == Kind.DNAME:
        return _dname(draft, match, name, rdtype)
    _cut(draft, image, match, name, rdtype, room=room, do=do)
    return None


def _data(draft: Draft, image: ZoneImage, name: Name, node: Node, rdtype: int, *, room: int, tcp: bool) -> Name | None:
    """Answer from the RRsets of a name that exists, or note that it has none that fits."""
    served = find(node, rdtype)
    if served is not None:
        draft.answer.append((name, served))
        if rdtype == Type.DS and name == image.origin:
            draft.lasting = False  # a zone above may come to be served here, and then it answers
        if rdtype in _HOSTS:
            _addresses(draft, image, name, served, room)
        return None
    if rdtype in (Type.ANY, Type.RRSIG):
        chosen = _every(node, tcp=tcp) if rdtype == Type.ANY else _signatures(node)
        draft.lasting = False
        draft.answer += [(name, one) for one in chosen]
        if not chosen:
            draft.negative = image
        return None
    alias = None if rdtype == Type.NSEC else find(node, Type.CNAME)  # an NSEC stands beside a CNAME (RFC 4034 §4)
    if alias is None:
        draft.lasting = False
        draft.negative = image
        return None
    draft.answer.append((name, alias))
    return rdatas(alias)[0]


def _every(node: Node, *, tcp: bool) -> list[Served]:
    """Choose what answers ANY: all over TCP, else the smallest RRset (RFC 8482 §4.1 and §4.2)."""
    if tcp or not node:
        return list(node)
    return [min(node, key=lambda served: len(served.wire))]


def _signatures(node: Node) -> list[Served]:
    """Choose what answers a question for RRSIG: the signatures of one RRset, as for ANY."""
    signed = [served for served in node if served.sigs]
    return [only_signatures(min(signed, key=lambda served: len(served.wire)))] if signed else []


def _absent(draft: Draft, image: ZoneImage, name: Name, rdtype: int, proofs: Proofs, *, co: bool) -> None:
    """Say that *name* has no data, in the words that mean that it does not exist (RFC 9824 §3.1, §5.1).

    Who asks for that very record, or what signs it, gets it for an answer: it says of itself that it is there.
    """
    served = _signed(draft, online.absent(image, name), proofs)
    if rdtype in (Type.NSEC, Type.RRSIG):
        draft.negative = None
        draft.answer.append((name, served if rdtype == Type.NSEC else only_signatures(served)))
        return
    draft.proofs = [_proof(image, name, served)]
    if co:
        draft.rcode = Rcode.NXDOMAIN


def _expanded(
    draft: Draft, image: ZoneImage, match: Match, name: Name, rdtype: int, *, room: int, proofs: Proofs, tcp: bool
) -> Name | None:
    """Answer from a wildcard as if *name* existed (RFC 9824 §3.3)."""
    draft.lasting = False
    found = len(draft.answer)
    nsec = find(match.node, Type.NSEC)
    node = tuple([served for served in match.node if served.type not in _NOT_GIVEN])
    if rdtype == Type.NSEC and nsec is not None:
        draft.answer.append((name, nsec))
        target = None
    elif rdtype == Type.RRSIG:
        draft.answer += [(name, min(node, key=lambda served: len(served.wire)))] if node else []
        draft.negative = None if node else image
        target = None
    else:
        target = _data(draft, image, name, node, rdtype, room=room, tcp=tcp)
    draft.lasting = False
    for at in range(found, len(draft.answer)):
        served = _signed(draft, online.expanded(image, name, match.owner, draft.answer[at][1]), proofs)
        draft.answer[at] = name, only_signatures(served) if rdtype == Type.RRSIG else served
    if target is None and draft.negative is image and nsec is not None:
        draft.proofs = [_proof(image, name, _signed(draft, online.expanded(image, name, match.owner, nsec), proofs))]
    return target


def _signed(draft: Draft, need: Need, proofs: Proofs) -> Served:
    """Return an RRset that is signed when it is needed; note where it still has to be."""
    served = proofs.get(need)
    if served is None:
        draft.needs = [*(draft.needs or ()), need]
        return need.made()
    return served


def _proof(image: ZoneImage, name: Name, served: Served) -> Proof:
    return name[: len(name) - len(image.origin)], 2, served


def _wildcard(
    draft: Draft, image: ZoneImage, match: Match, name: Name, rdtype: int, *, room: int, do: bool, tcp: bool
) -> Name | None:
    """Synthesize from the wildcard (RFC 4592 §3.3); its delegations and DNAMEs do not stand for others (§4.2, §4.4)."""
    node = match.node
    if any(served.type in (Type.NS, Type.DNAME) for served in node):
        node = tuple([served for served in node if served.type not in (Type.NS, Type.DNAME)])
    target = _data(draft, image, name, node, rdtype, room=room, tcp=tcp)
    draft.lasting = False
    if do:
        if target is None and draft.negative is image:
            draft.proofs = denial.wildcard_nodata(image, name, match.owner)
        else:
            draft.authority += [
                (proof[0] + image.origin, proof[2]) for proof in denial.wildcard_answer(image, name, match.owner)
            ]
    return target


def _dname(draft: Draft, match: Match, name: Name, rdtype: int) -> Name | None:
    """Redirect by a DNAME: the record, a CNAME made of it, and the new name (RFC 6672 §3.2)."""
    draft.lasting = False
    dname = find(match.node, Type.DNAME)
    assert dname is not None  # image.bends says so
    if all(served is not dname for _, served in draft.answer):  # one that feeds itself is passed many times
        draft.answer.append((match.owner, dname))
    target = name[: len(name) - len(match.owner)] + rdatas(dname)[0]
    if len(target) > MAX_NAME:
        draft.rcode = Rcode.YXDOMAIN
        return None
    draft.answer.append((name, serve(Type.CNAME, dname.ttl, (target,))))
    return None if rdtype in (Type.CNAME, Type.ANY) else target


def _cut(draft: Draft, image: ZoneImage, match: Match, name: Name, rdtype: int, *, room: int, do: bool) -> None:
    """Refer to the child, or answer for its DS, which is the parent's (RFC 1034 §4.2.1, RFC 4035 §3.1.4)."""
    cut, node = match.owner, match.node
    signer = find(node, Type.DS)
    if rdtype == Type.DS and name == cut:
        if signer is not None:
            draft.answer.append((name, signer))
            return
        draft.lasting = False
        draft.negative = image
        if do:
            draft.proofs = denial.nodata(image, cut)
        return
    draft.lasting = False
    if not draft.answer:
        draft.aa = False
        draft.cut = image, cut
        known = image.remembered.referrals.get((cut, do))
        if known is not None and len(known.answer.body) <= room:
            draft.known = known
            return
    delegation = find(node, Type.NS)
    assert delegation is not None  # image.bends says so
    draft.authority.append((cut, delegation))
    if do and signer is not None:
        draft.authority.append((cut, signer))
    elif do:
        draft.authority += [(proof[0] + image.origin, proof[2]) for proof in denial.nodata(image, cut)]
    hosts = rdatas(delegation)
    most = (room - len(hosts) * _LEAST) // _LEAST  # glue that could fit; what is more makes it truncated anyway
    extra = 0
    for host in hosts:
        if names.is_subdomain(host, cut):
            if len(draft.glue) <= most:
                draft.glue += _host(image, host, glue=True)
        elif extra < MAX_HOSTS:
            extra += 1
            draft.extra += _host(image, host, glue=True)


def _addresses(draft: Draft, image: ZoneImage, owner: Name, served: Served, room: int) -> None:
    """Add the addresses that *served* leads to and this zone holds (RFC 1034 §4.3.2 step 6).

    None where *served* itself will not fit into *room* octets.
    """
    at = _HOSTS[served.type]
    seen = {owner}
    records = rdatas(served)
    if len(records) * _LEAST > room:
        return
    for rdata in records[:MAX_HOSTS]:
        host = rdata[at : names.skip(rdata, at)].lower()
        if host in seen or not names.is_subdomain(host, image.origin):
            continue
        seen.add(host)
        draft.owners.append(host)
        draft.extra += _host(image, host, glue=served.type == Type.NS)


def _host(image: ZoneImage, host: Name, *, glue: bool) -> list[tuple[Name, Served]]:
    """Return the address RRsets of *host* where it has any in the zone, or below a cut of it where *glue*."""
    node = image.at(host)
    if not node:
        return []
    kind = image.find(host).kind
    if kind != Kind.EXACT and not (glue and kind == Kind.CUT):
        return []
    return [(host, served) for served in node if served.type in (Type.A, Type.AAAA)]
