"""What is said of names that have no entry of their own in the table: no such name, no such data, ask over there.

Law: the octets are those of `ddns.answer.responder`, which has answered such a question once before; what it said
is kept as a *piece* by a name that exists (the closest encloser, the name itself, the delegation), so that nobody
who asks can grow it past what is published, nor past `PIECES`. A piece is good as long as its mark is that of the
edition of the nearest zone in memory: a change needs to take nothing out. What is unusual (an alias, a wildcard, two
signatures) is left to the responder.

A piece's octets are written for a question that asks for its own name; *spots* are the offsets of the compression
pointers in them, all of which lead so much further as the name of the question is longer.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from hashlib import sha1
from itertools import islice
from typing import Any, TypeVar

from ddns.answer import denial, direct, online
from ddns.answer.answer import Answer, Referral, pack_spots, written
from ddns.answer.compile import Draft
from ddns.answer.image import Kind, ZoneImage
from ddns.answer.render import POINTERS, negative_soa
from ddns.answer.served import HASHED_LABEL, find
from ddns.dns import names
from ddns.dns.codes import (
    CLASS_IN,
    FLAG_AA,
    HEADER_SIZE,
    MAX_LABEL,
    MAX_NAME,
    META_TYPES,
    UDP_MAX_PAYLOAD,
    Rcode,
    Type,
)
from ddns.dns.names import Name

PIECES = 32_768  # ours: pieces a worker of each of the four kinds together, most below 600 octets
_COUNTS = struct.Struct("!3H")  # ANCOUNT, NSCOUNT, ARCOUNT
_FIXED = HEADER_SIZE + 4  # octets of a message before the records, without the question's name

# How a piece becomes an answer.
REFERRAL = 0  # as it is, not authoritative
DENIAL = 1  # as it is: the zone has no chain, or none of its records depends on the question
HASHED = 2  # behind it comes the NSEC3 record that covers the next closer name (RFC 5155 §7.2.2)
PLAIN = 3  # behind it come the NSEC record that covers the name, and the wildcard's (RFC 4035 §3.1.3.2)
UNUSUAL = 4  # left to the responder

_IN = CLASS_IN.to_bytes(2, "big")
_META = frozenset(number.to_bytes(2, "big") for number in META_TYPES - {Type.ANY})
# Types as they stand in a question, class included: all that are common.
_TYPES = {struct.pack("!2H", number, CLASS_IN): number for number in range(1, 512) if number not in META_TYPES}
_UNDECIDED = frozenset({Type.ANY, Type.RRSIG})  # chosen among what the name has

# What stands behind the id of an answer (RFC 1035 §4.1.1) where the table says AA and NOERROR.
_OPENINGS = [bytes((0x84 | rd, 0)) + b"\0\1" for rd in (0, 1)]
_NXDOMAIN = {opening: bytes((opening[0], Rcode.NXDOMAIN)) + opening[2:] for opening in _OPENINGS}
_NOT_OURS = {opening: bytes((opening[0] & ~(FLAG_AA >> 8),)) + opening[1:] for opening in _OPENINGS}


# What is said of all names below one that exists. A plain tuple, because a NamedTuple takes longer to read:
#   the mark, and how it becomes an answer (see above);
#   the counts of the header (ANCOUNT, NSCOUNT, ARCOUNT), and other counts: those for an asker without an OPT record,
#   or, for who asks for proofs, those where the record that the question decides is none of those in the octets;
#   octets and spots;
#   HASHED: the labels of the owners of the NSEC3 records in the octets, the salt, and the iterations;
#   PLAIN: (), the order key of the name, 0, and the NSEC record for the wildcard as its owner's labels, its octets and
#   where its signature begins in them.
Piece = tuple[object, int, bytes, bytes, bytes, bytes, tuple[bytes, ...], bytes, int, tuple[bytes, bytes, int] | None]

# What is said of a name that exists but lacks the type, or, where it is delegated, of all types but DS: the mark,
# whether it is delegated, the counts, those for an asker without an OPT record, the records.
Said = tuple[object, bool, bytes, bytes, bytes]

_P = TypeVar("_P", Piece, Said)


class Below:
    """Pieces by the name that they are kept by: for who asks for proofs (*signed*) and for others (*plain*)."""

    __slots__ = ("_most", "plain", "said_plain", "said_signed", "signed")

    def __init__(self, most: int = PIECES) -> None:
        self._most = most
        self.plain: dict[Name, Piece] = {}
        self.signed: dict[Name, Piece] = {}
        self.said_plain: dict[Name, Said] = {}
        self.said_signed: dict[Name, Said] = {}

    def __len__(self) -> int:
        """Return the number of pieces."""
        return len(self.plain) + len(self.signed) + len(self.said_plain) + len(self.said_signed)

    # ---- the hot path --------------------------------------------------------------------------

    def answer(
        self,
        zones: Mapping[Name, ZoneImage | int],
        datagram: bytes,
        name: Name,
        kind: bytes,
        opening: bytes,
        tail: bytes,
        limit: int,
    ) -> bytes | None:
        """Return the answer to *datagram* where a piece says it, else None.

        *name* is the question's in lower case, *kind* its type and class; *opening* is what an answer has behind the
        id, *tail* its OPT record, empty where the asker sent none. Question and records may have *limit* octets.
        """
        size = len(name)
        above = name
        image = zones.get(name)
        while image is None:
            if not above or not 0 < above[0] <= MAX_LABEL:
                return None
            above = above[1 + above[0] :]
            image = zones.get(above)
        rdtype = _TYPES.get(kind)
        if rdtype is None:
            if kind[2:] != _IN or kind[:2] in _META:
                return None
            rdtype = kind[0] << 8 | kind[1]
        if size > MAX_NAME or isinstance(image, int):
            return None
        image.used = True
        signed = tail and datagram[-4]  # DO, in the OPT record's flags (RFC 3225 §3)
        end = _FIXED + size
        if image.direct is not None and rdtype in direct.TYPES:
            straight = direct.find(image.direct, name, above, rdtype, signed=bool(signed))
            if straight is not None:
                counts = _COUNTS.pack(straight[0], 0, 1 if tail else 0)
                if end + len(straight[1]) > limit:
                    return None
                return b"".join((datagram[:2], opening, counts, datagram[HEADER_SIZE:end], straight[1], tail))
        remembered = image.remembered
        mark = remembered.mark
        nodes = remembered.nodes
        if nodes is None:
            return None  # nothing was learned of this edition
        node = nodes.get(name)
        if node is not None:
            said = (self.said_signed if signed else self.said_plain).get(name)
            if said is None or said[0] is not mark:
                return None
            _, delegated, counts, others, body = said
            if delegated:
                if rdtype == Type.DS:
                    return None
                opening = _NOT_OURS[opening]
            elif rdtype in _UNDECIDED or (rdtype == Type.DS and name is above):
                return None
            else:
                for served in node:
                    if served.type == rdtype:
                        return None
            if end + len(body) > limit:
                return None
            return b"".join((datagram[:2], opening, counts if tail else others, datagram[HEADER_SIZE:end], body, tail))
        pieces = self.signed if signed else self.plain
        apex = len(above)
        closer = name
        encloser = above if 1 + name[0] + apex == size else name[1 + name[0] :]
        piece = pieces.get(encloser)
        while piece is None or piece[0] is not mark:
            if len(encloser) <= apex:
                return None
            closer = encloser
            encloser = encloser[1 + encloser[0] :]
            piece = pieces.get(encloser)
        _, how, counts, others, octets, spots, owners, salt, iterations, wildcard = piece
        body = written(octets, spots, size - len(encloser))
        if how == REFERRAL:
            opening = _NOT_OURS[opening]
        elif how == UNUSUAL or (closer is not name and closer in nodes):
            return None  # or the closest encloser is further down
        else:
            opening = _NXDOMAIN[opening]
        if not signed:
            if not tail:
                counts = others
        elif how == HASHED:
            digest = sha1(closer + salt).digest()  # noqa: S324 - NSEC3 knows no other hash
            if iterations:
                for _ in range(iterations):
                    digest = sha1(digest + salt).digest()  # noqa: S324
            chain = remembered.nsec3
            found = None if chain is None else chain.at_or_before(digest)
            if found is None:
                return None
            served = found[1]
            wire = served.wire
            split = served.split
            label = wire[:HASHED_LABEL]
            if label not in owners:
                at = end + len(body)
                if served.sigs != 1 or at + len(wire) + 2 > limit:
                    return None
                pointer = POINTERS[HEADER_SIZE + size - apex]
                rest = wire[split + 2 :]
                return b"".join(
                    (
                        datagram[:2], opening, others, datagram[HEADER_SIZE:end], body,
                        label, pointer, wire[HASHED_LABEL:split], POINTERS[at], rest, tail,
                    )
                )  # fmt: skip
        elif how == PLAIN:
            links = remembered.nsec
            if links is None:
                return None
            if closer is name and b"\0" not in (label := name[1 : 1 + name[0]]):
                found_name = links.at_or_before(b"%b%b\0\0" % (salt, label))
            else:
                found_name = links.at_or_before(names.order_key(name))
            if found_name is None:
                return None
            owner = found_name[1]
            for served in nodes.get(owner, ()):
                if served.type == Type.NSEC:
                    break
            else:
                return None
            labels = owner[:-apex]
            at = end + len(body)
            wire = served.wire
            split = served.split
            pointer = POINTERS[HEADER_SIZE + size - apex]
            if served.sigs != 1 or at + len(labels) + len(wire) + 2 > limit:
                return None
            proof = (labels, pointer, wire[2:split], POINTERS[at] if labels else pointer, wire[split + 2 :])
            if wildcard is None or wildcard[0] == labels:
                return b"".join((datagram[:2], opening, counts, datagram[HEADER_SIZE:end], body, *proof, tail))
            body = _with_proof(b"".join((body, *proof)), *wildcard, pointer, end)
            counts = others
        if end + len(body) > limit:
            return None
        return b"".join((datagram[:2], opening, counts, datagram[HEADER_SIZE:end], body, tail))

    # ---- learning ------------------------------------------------------------------------------

    def learn(self, name: Name, draft: Draft, answer: Answer, *, do: bool) -> None:
        """Keep what *answer* to a question for *name*, written from *draft*, says of other questions too."""
        match = draft.match
        if match is None or draft.answer or len(draft.images) != 1 or not answer.whole:
            return
        image = draft.images[0]
        if not image.whole:
            return  # what is not in memory may exist all the same
        remembered = image.remembered
        mark = remembered.mark
        if remembered.nodes is None:
            remembered.nodes, remembered.nsec, remembered.nsec3 = image.nodes, image.nsec, image.nsec3
        pieces = self.signed if do else self.plain
        if match.kind == Kind.NOTHING:
            known = pieces.get(match.owner)
            if known is None or known[0] is not mark:
                self._keep(pieces, match.owner, _denial(image, match.owner, do=do))
            return
        delegated = match.kind == Kind.CUT and draft.negative is None
        if delegated:
            known = pieces.get(match.owner)
            referral = remembered.referrals.get((match.owner, do))
            if referral is not None and (known is None or known[0] is not mark):
                self._keep(pieces, match.owner, _referral(mark, match.owner, referral))
        elif match.kind != Kind.EXACT or draft.negative is None or find(match.node, Type.CNAME) is not None:
            return
        if name in image.nodes:
            said = (mark, delegated, answer.counts(edns=True), answer.counts(edns=False), answer.body)
            self._keep(self.said_signed if do else self.said_plain, name, said)

    def _keep(self, pieces: dict[Name, _P], name: Name, piece: _P) -> None:
        if name not in pieces and len(self) >= self._most:
            kinds: tuple[dict[Name, Any], ...] = (self.plain, self.signed, self.said_plain, self.said_signed)
            fullest = max(kinds, key=len)
            for oldest in list(islice(fullest, max(len(fullest) // 256, 1))):
                del fullest[oldest]
        pieces[name] = piece


def _denial(image: ZoneImage, encloser: Name, *, do: bool) -> Piece:
    """Prepare what is said of names below *encloser* that do not exist."""
    mark = image.remembered.mark
    origin = image.origin
    unusual: Piece = (mark, UNUSUAL, b"", b"", b"", b"", (), b"", 0, None)
    if len(origin) == 1:
        return unusual  # the root's name takes one octet and no pointer
    if do and online.is_compact(image):
        return unusual  # signed when it is asked for
    count, parts = negative_soa(image, do=do)
    out = _Octets(HEADER_SIZE + len(encloser) - len(origin), _FIXED + len(encloser))
    out.soa(parts)
    if not do or (image.hashing is None and image.nsec is None):
        return (mark, DENIAL, _counts(count), _counts(count, edns=False), *out.written(), (), b"", 0, None)
    if image.hashing is None:
        wildcard = denial.nsec(image, b"\x01*" + encloser)
        if wildcard is not None and wildcard[2].sigs != 1:
            return unusual
        beside = None if wildcard is None else (wildcard[0], wildcard[2].wire, wildcard[2].split)
        counts = _counts(count + 2), _counts(count + 4)
        return (mark, PLAIN, *counts, *out.written(), (), names.order_key(encloser), 0, beside)
    provable, proofs = denial.enclosing(image, encloser)
    how = HASHED
    if provable != encloser or not image.nsec3:
        # An opt-out span (RFC 5155 §6): the next closer name is above the encloser, and the same for all names.
        proofs = denial.nxdomain(image, b"\x01*" + encloser, encloser)
        how = DENIAL
    if any(served.sigs != 1 for _, _, served in proofs):
        return unusual
    for labels, start, served in proofs:
        out.proof(labels, served.wire, start, served.split)
    count += 2 * len(proofs)
    if len(out.octets) > UDP_MAX_PAYLOAD:
        return unusual
    owners = tuple([labels for labels, _, _ in proofs])
    hashing = image.hashing
    counts = _counts(count), _counts(count + 2)
    return (mark, how, *counts, *out.written(), owners, hashing.salt, hashing.iterations, None)


def _referral(mark: object, cut: Name, referral: Referral) -> Piece:
    answer = referral.answer
    octets = written(answer.body, referral.spots, len(cut) - referral.size)
    counts = answer.counts(edns=True), answer.counts(edns=False)
    return (mark, REFERRAL, *counts, octets, referral.spots, (), b"", 0, None)


def _counts(authorities: int, *, edns: bool = True) -> bytes:
    return Answer(0, 0, authorities, 0, b"").counts(edns=edns)


def _with_proof(body: bytes, labels: bytes, wire: bytes, split: int, apex: bytes, end: int) -> bytes:
    """Put an NSEC record and its signature behind *body*, which begins at *end*; *apex* is a pointer to the apex."""
    owner = POINTERS[end + len(body)] if labels else apex
    return b"".join((body, labels, apex, wire[2:split], owner, wire[split + 2 :]))


class _Octets:
    """Write pieces for a question at whose name's offset *apex* the apex stands; records begin at *start*."""

    def __init__(self, apex: int, start: int) -> None:
        self.octets = bytearray()
        self._spots: list[int] = []
        self._apex = apex
        self._start = start

    def soa(self, parts: list[bytes]) -> None:
        """Write the SOA record and its signatures, *parts* between which pointers to the apex belong."""
        self.octets += parts[0]
        for part in parts[1:]:
            self._point(self._apex)
            self.octets += part

    def proof(self, labels: bytes, wire: bytes, start: int, split: int) -> None:
        """Write one record and its signature out of *wire*, its owner *labels* before the apex."""
        owner = self._start + len(self.octets) if labels else self._apex
        self.octets += labels
        self._point(self._apex)
        self.octets += wire[start:split]
        self._point(owner)
        self.octets += wire[split + 2 :]

    def _point(self, at: int) -> None:
        self._spots.append(len(self.octets))
        self.octets += POINTERS[at]

    def written(self) -> tuple[bytes, bytes]:
        """Return the octets, and the spots in them."""
        return bytes(self.octets), pack_spots(self._spots)
