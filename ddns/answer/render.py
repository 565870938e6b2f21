"""From a draft to the octets behind the question: compressed, whole RRsets only, within a size.

Names are compressed against the question and what was written before (RFC 1035 §4.1.4); the RDATA of
newer types and of RRSIGs is left as it is (RFC 3597 §4, RFC 4034 §3.1.7).
"""

from __future__ import annotations

from ddns.answer.answer import Answer, Referral, pack_spots
from ddns.answer.compile import Draft
from ddns.answer.image import Proof, ZoneImage
from ddns.answer.served import HASHED_LABEL, QUESTION_POINTER, Served, rdatas, signatures, with_ttl
from ddns.dns import names, records
from ddns.dns.codes import FLAG_AA, FLAG_TC, HEADER_SIZE, UDP_MAX_PAYLOAD, Type
from ddns.dns.names import Name
from ddns.dns.records import COMPRESSIBLE

# Compression pointers by what they point to (RFC 1035 §4.1.4).
POINTERS = tuple((0xC000 | at).to_bytes(2, "big") for at in range(2048))
_FIXED = 10  # octets of type, class, TTL and RDLENGTH
_POINTABLE = 0x4000  # RFC 1035 §4.1.4: a pointer has 14 bits
_HOPS = 8  # ours: pointers to follow for one name, so that readers with a small bound can read a chain of DNAMEs
_REFERRALS = 8192  # ours: referrals that one edition of a zone remembers
_MISFITS = 8  # ours: RRsets that did not fit, after which no other is tried


def render(draft: Draft, name: Name, limit: int, *, do: bool) -> Answer:
    """Write *draft* for the question *name*, up to *limit* octets of the whole message.

    What does not fit makes it truncated (RFC 2181 §9): then nothing of it is sent, except that a
    referral keeps its delegation and the glue that fits (RFC 9471 §3.1).
    """
    if draft.known is not None:
        return draft.known.behind(len(name))
    start = HEADER_SIZE + len(name) + 4
    flags = (FLAG_AA if draft.aa else 0) | draft.rcode
    if draft.negative is not None and not draft.answer:
        denial = _denial(draft.negative, draft.proofs, flags, name, do=do)
        if denial is not None:
            return denial if start + len(denial.body) <= limit else _truncated(flags)
    if len(draft.answer) == 1 and not draft.authority and not draft.extra and draft.negative is None:
        owner, served = draft.answer[0]
        if owner == name and served.type not in COMPRESSIBLE:
            body = served.wire if do else served.wire[: served.split]
            if start + len(body) > limit:
                return _truncated(flags)
            return Answer(flags, served.count() + (served.sigs if do else 0), 0, 0, body)
    return _write(draft, name, flags, limit, do=do)


def _write(draft: Draft, name: Name, flags: int, limit: int, *, do: bool) -> Answer:
    cut = draft.cut
    writer = Writer(name if cut is None else cut[1], HEADER_SIZE + len(name) + 4, limit)
    for owner, served in draft.answer:
        if not writer.add(owner, served, do=do):
            return _truncated(flags)
    answers = writer.records
    authority = draft.authority
    if draft.negative is not None:
        authority = authority + _says_no(draft.negative, draft.proofs)
    for at, (owner, served) in enumerate(authority):
        if any(owner == above and served.type == before.type for above, before in authority[:at]):
            continue  # a wildcard's proof and a denial's may be the same record
        if not writer.add(owner, served, do=do):
            return _truncated(flags)
    authorities = writer.records
    misfits = writer.add_some(draft.glue, do=False)
    if misfits:
        flags |= FLAG_TC
    misfits += writer.add_some(draft.extra, do=do)
    answer = Answer(
        flags, answers, authorities - answers, writer.records - authorities, bytes(writer.buffer), whole=not misfits
    )
    if cut is not None and answer.whole and len(answer.body) <= UDP_MAX_PAYLOAD:
        image, owner = cut
        referrals = image.remembered.referrals
        if len(referrals) < _REFERRALS:
            referrals[owner, do] = Referral(answer, len(name), pack_spots(writer.spots))
    return answer


def _truncated(flags: int) -> Answer:
    return Answer(flags | FLAG_TC, 0, 0, 0, b"", whole=False)


# ---- answers that say no -----------------------------------------------------------------------


def _denial(image: ZoneImage, proofs: list[Proof], flags: int, name: Name, *, do: bool) -> Answer | None:
    """Write SOA and proofs out of prepared pieces that only lack the pointer to the apex.

    This is what a flood of random names costs. None where the proofs are not of the plain shape, one
    record with one signature each; then the writer does it.
    """
    count, pieces = negative_soa(image, do=do)
    apex = POINTERS[HEADER_SIZE + len(name) - len(image.origin)] if len(image.origin) > 1 else names.ROOT
    body = apex.join(pieces)
    if not do or not proofs:
        return Answer(flags, 0, count, 0, body)
    out = [body]
    at = HEADER_SIZE + len(name) + 4 + len(body)
    for labels, start, served in proofs:
        if served.sigs != 1 or at >= len(POINTERS):
            return None
        wire, split = served.wire, served.split
        owner = POINTERS[at] if labels else apex
        piece = b"".join((labels, apex, wire[start:split], owner, wire[split + 2 :]))
        out.append(piece)
        at += len(piece)
    return Answer(flags, 0, count + 2 * len(proofs), 0, b"".join(out))


def negative_soa(image: ZoneImage, *, do: bool) -> tuple[int, list[bytes]]:
    """Return the number of records of the SOA that says no, and its pieces, between which the apex's pointer belongs.

    The first piece is empty. With *do* its signatures follow.
    """
    remembered = image.remembered
    prepared = remembered.soa_signed if do else remembered.soa
    if prepared is None:
        prepared = _prepare(image, do=do)
        if do:
            remembered.soa_signed = prepared
        else:
            remembered.soa = prepared
    return prepared


def _prepare(image: ZoneImage, *, do: bool) -> tuple[int, list[bytes]]:
    soa = _soa(image)
    if soa is None:
        return 0, [b"", b""]
    origin = image.origin
    pointer = 2 if len(origin) > 1 else 1
    rdata = rdatas(soa)[0]
    pieces = [b""]
    piece = b""
    shorter = 0
    at = 0
    for begin, end in records.names_in(Type.SOA, rdata):
        name = rdata[begin:end]
        if names.is_subdomain(name, origin):
            pieces.append(piece + rdata[begin : end - len(origin)])
            piece = b""
            shorter += len(origin) - pointer
        else:
            piece += rdata[begin:end]
        at = end
    pieces.append(piece + rdata[at:])
    head = soa.wire[2:_FIXED] + (len(rdata) - shorter).to_bytes(2, "big")
    pieces[1] = head + pieces[1]
    if do:
        for sig in signatures(soa):
            head = soa.wire[soa.split + 2 : soa.split + _FIXED]
            pieces.append(head + len(sig).to_bytes(2, "big") + sig)
    return 1 + (soa.sigs if do else 0), pieces


def _soa(image: ZoneImage) -> Served | None:
    """Return the zone's SOA as a denial carries it: its TTL is at most its MINIMUM (RFC 2308 §3)."""
    soa = image.rrset(image.origin, Type.SOA)
    if soa is None:
        return None
    minimum = records.soa_minimum(rdatas(soa)[0])
    return soa if soa.ttl <= minimum else with_ttl(soa, minimum)


def _says_no(image: ZoneImage, proofs: list[Proof]) -> list[tuple[Name, Served]]:
    soa = _soa(image)
    out = [] if soa is None else [(image.origin, soa)]
    return out + [(labels + image.origin, served) for labels, _, served in proofs]


# ---- everything else ---------------------------------------------------------------------------


class Writer:
    """Write RRsets behind a question whose name, or the end of it that may be pointed to, is *known*.

    *start* is the offset behind the question, *limit* the greatest size of the message in octets.
    """

    __slots__ = ("buffer", "limit", "offsets", "records", "spots", "start")

    def __init__(self, known: Name, start: int, limit: int) -> None:
        self.buffer = bytearray()
        self.start = start
        self.limit = limit - start
        self.records = 0
        self.offsets: dict[Name, int] = {}
        self.spots: list[int] = []  # where the pointers stand
        at = start - 4 - len(known)
        while known[0]:
            self.offsets[known] = at
            at += 1 + known[0]
            known = known[1 + known[0] :]

    def add(self, owner: Name, served: Served, *, do: bool) -> bool:
        """Write an RRset, with its signatures where *do*: all of it or nothing. Return whether it fitted."""
        buffer = self.buffer
        mark, counted = len(buffer), self.records
        wire, split = served.wire, served.split
        end = len(wire) if do else split
        compressible = served.type in COMPRESSIBLE
        at = 0
        while at < end:
            self._name(owner)
            fixed = at + (2 if wire[at] == QUESTION_POINTER[0] else HASHED_LABEL)
            rdata = fixed + _FIXED
            after = rdata + (wire[rdata - 2] << 8 | wire[rdata - 1])
            if compressible and at < split:
                buffer += wire[fixed:rdata]
                self._rdata(served.type, wire[rdata:after])
            else:
                buffer += wire[fixed:after]
            self.records += 1
            at = after
            if len(buffer) > self.limit:
                break
        else:
            return True
        del buffer[mark:]
        self.records = counted
        for name in [name for name, offset in self.offsets.items() if offset & 0x3FFF >= self.start + mark]:
            del self.offsets[name]
        self.spots = [spot for spot in self.spots if spot < mark]
        return False

    def add_some(self, rrsets: list[tuple[Name, Served]], *, do: bool) -> int:
        """Write those of *rrsets* that fit, and return how many did not; after `_MISFITS` of them no other is tried."""
        misfits = 0
        for owner, served in rrsets:
            if not self.add(owner, served, do=do):
                misfits += 1
                if misfits == _MISFITS:
                    break
        return misfits

    def _rdata(self, rdtype: int, rdata: bytes) -> None:
        buffer = self.buffer
        start = len(buffer)
        at = 0
        for begin, end in records.names_in(rdtype, rdata):
            buffer += rdata[at:begin]
            self._name(rdata[begin:end])
            at = end
        buffer += rdata[at:]
        buffer[start - 2 : start] = (len(buffer) - start).to_bytes(2, "big")

    def _name(self, name: Name) -> None:
        """Write *name*; a value of *offsets* holds how many pointers lead on from there above the offset's 14 bits."""
        buffer, offsets = self.buffer, self.offsets
        fresh = []
        hops = 0
        while name[0]:
            known = offsets.get(name)
            if known is not None:
                self.spots.append(len(buffer))
                buffer += (0xC000 | known & 0x3FFF).to_bytes(2, "big")
                hops = (known >> 14) + 1
                break
            fresh.append((name, self.start + len(buffer)))
            buffer += name[: 1 + name[0]]
            name = name[1 + name[0] :]
        else:
            buffer.append(0)
        if hops < _HOPS:
            for name, here in fresh:
                if here < _POINTABLE:
                    offsets[name] = hops << 14 | here
