"""Jobs that change the data of RRsets and nothing else, which nearly all updates are: said in few words. Pure.

Law: where no name and no type comes or goes, no cut moves and the denial records keep their TTL, what changed and the
SOA are signed anew and nothing else happens. The server knows both sides of each change; the signer need not be told
what was, and answers with signatures alone: which keys make them, one or several, is the signer's to say.
"""

from __future__ import annotations

from ddns.dns.codes import SIGNER_TYPES, Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset, soa_minimum
from ddns.zone.jobs import PlainJob, PlainSigned, SignedJob, SignJob

# A record of one of these moves cuts, or is the signer's own.
MOVING = frozenset({int(Type.NS), int(Type.DNAME), *map(int, SIGNER_TYPES)})
_NS = int(Type.NS)
_MOVING_AT_APEX = MOVING - {_NS}
_SOA = int(Type.SOA)


def moves(origin: Name, name: Name, rdtype: int) -> bool:
    """Tell whether more than one signature depends on an RRset, or it is none that a server may have signed."""
    return rdtype in MOVING and (rdtype != _NS or name != origin)


def plain(job: SignJob) -> PlainJob | None:
    """Return *job* in few words; None where more than data changes, or might."""
    if job.whole or job.denial == "none":
        return None
    for _, types in job.above:
        if not MOVING.isdisjoint(types):
            return None
    origin = job.origin
    sign: list[RRset] = []
    numbered = False
    for node in job.nodes:
        name, before, after = node.name, node.before, node.after
        if len(before) != len(after):
            return None
        known = {one.type: one for one in before}
        if not (_MOVING_AT_APEX if name == origin else MOVING).isdisjoint(known):
            return None
        for one in after:
            was = known.pop(one.type, None)
            if was is one:
                continue  # most of a node, and of the apex
            if was is None:
                return None
            if one.type == _SOA:
                # Their lesser one is the TTL of all denial records (RFC 9077 §3).
                if name != origin or was.ttl != one.ttl or soa_minimum(was.rdatas[0]) != soa_minimum(one.rdatas[0]):
                    return None
                numbered = True
                sign.append(one)
            elif was != one:
                sign.append(one)
    return PlainJob(job.zone, origin, tuple(sign), job.keyset) if numbered else None


def complete(job: PlainJob, done: PlainSigned) -> SignedJob:
    """Return the answer to *job* as whoever asked needs it."""
    if done.error or len(done.sigs) != len(job.rrsets):
        return SignedJob(job.zone, error=done.error or "the signer answered something else than it was asked")
    added = [
        SignedRRset(one.name, one.type, one.ttl, one.rdatas, sigs)
        for one, sigs in zip(job.rrsets, done.sigs, strict=True)
    ]
    return SignedJob(job.zone, tuple(added), resign_at=done.resign_at)
