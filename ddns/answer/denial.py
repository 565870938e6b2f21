"""Proofs of what a zone does not hold, found among its published NSEC or NSEC3 records.

Nothing is signed here. What a signer left out (an opt-out span, RFC 5155 §6; a broken chain) is not
invented: the proof then holds what there is. Every walk is bounded by the labels of one name.
"""

from __future__ import annotations

from hashlib import sha1

from ddns.answer.image import Hashing, Proof, ZoneImage
from ddns.answer.served import HASHED_LABEL, Served, find
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name

_ENCLOSERS = 4096  # ours: closest enclosers whose proofs one edition of a zone remembers


def nxdomain(image: ZoneImage, name: Name, encloser: Name) -> list[Proof]:
    """Prove that neither *name* nor a wildcard for it exists (RFC 4035 §3.1.3.2, RFC 5155 §7.2.2)."""
    if image.hashing is None:
        return _distinct(nsec(image, name), nsec(image, b"\x01*" + encloser))
    provable, proofs = enclosing(image, encloser)
    return _distinct(*proofs, _covering(image, _next_closer(name, provable)))


def enclosing(image: ZoneImage, encloser: Name) -> tuple[Name, list[Proof]]:
    """Return the nearest name at or above *encloser* that has an NSEC3 record, and the proofs that do not depend on
    the name below it that was asked for: of that name, and against its wildcard.
    """  # noqa: D205
    known = image.remembered.enclosers.get(encloser)
    if known is None:
        provable, matching = _provable(image, encloser)
        known = (provable, _distinct(matching, _covering(image, b"\x01*" + provable)))
        if len(image.remembered.enclosers) < _ENCLOSERS:
            image.remembered.enclosers[encloser] = known
    return known


def nodata(image: ZoneImage, name: Name) -> list[Proof]:
    """Prove what types *name*, which exists, does not have; of a cut, that it has no DS.

    RFC 4035 §3.1.3.1 and §3.1.4, RFC 5155 §7.2.3, §7.2.4 and §7.2.7.
    """
    if image.hashing is None:
        return _distinct(nsec(image, name))
    matching = _matching(image, name)
    if matching is not None:
        return [matching]
    return _opted_out(image, name)


def wildcard_answer(image: ZoneImage, name: Name, encloser: Name) -> list[Proof]:
    """Prove that *name* itself does not exist, so that `*.encloser` may answer (RFC 5155 §7.2.6)."""
    if image.hashing is None:
        return _distinct(nsec(image, name))
    return _distinct(_covering(image, _next_closer(name, encloser)))


def wildcard_nodata(image: ZoneImage, name: Name, encloser: Name) -> list[Proof]:
    """Prove that *name* does not exist and what `*.encloser` does not have (RFC 5155 §7.2.5)."""
    wildcard = b"\x01*" + encloser
    if image.hashing is None:
        return _distinct(nsec(image, name), nsec(image, wildcard))
    provable, matching = _provable(image, encloser)
    return _distinct(matching, _covering(image, _next_closer(name, provable)), _matching(image, wildcard))


def hash_name(name: Name, hashing: Hashing) -> bytes:
    """Return the hash of *name* (RFC 5155 §5)."""
    salt = hashing.salt
    digest = sha1(name + salt).digest()  # noqa: S324 - NSEC3 knows no other hash
    for _ in range(hashing.iterations):
        digest = sha1(digest + salt).digest()  # noqa: S324
    return digest


def _opted_out(image: ZoneImage, name: Name) -> list[Proof]:
    """Prove by an opt-out span that nothing signed stands at *name*: its closest provable encloser (RFC 5155 §6)."""
    if name == image.origin:
        return []
    provable, matching = _provable(image, names.parent(name))
    return _distinct(matching, _covering(image, _next_closer(name, provable)))


def _provable(image: ZoneImage, name: Name) -> tuple[Name, Proof | None]:
    """Return the nearest name at or above *name* that has an NSEC3 record, with that record."""
    while True:
        matching = _matching(image, name)
        if matching is not None or name == image.origin:
            return name, matching
        name = names.parent(name)


def _next_closer(name: Name, encloser: Name) -> Name:
    """Return the name at or above *name* that is one label longer than *encloser* (RFC 5155 §1.3)."""
    longer = len(encloser)
    while True:
        above = name[1 + name[0] :]
        if len(above) <= longer:
            return name
        name = above


def _matching(image: ZoneImage, name: Name) -> Proof | None:
    if image.hashing is None or image.nsec3 is None:
        return None
    served = image.nsec3.get(hash_name(name, image.hashing))
    return None if served is None else _hashed(served)


def _covering(image: ZoneImage, name: Name) -> Proof | None:
    if image.hashing is None or image.nsec3 is None:
        return None
    found = image.nsec3.at_or_before(hash_name(name, image.hashing))
    return None if found is None else _hashed(found[1])


def _hashed(served: Served) -> Proof:
    return served.wire[:HASHED_LABEL], HASHED_LABEL, served


def nsec(image: ZoneImage, name: Name) -> Proof | None:
    """Return the NSEC record at *name* or, where it has none, the one that covers it."""
    found = None if image.nsec is None else image.nsec.at_or_before(names.order_key(name))
    if found is None:
        return None
    owner = found[1]
    served = find(image.at(owner) or (), Type.NSEC)
    return None if served is None else (owner[: len(owner) - len(image.origin)], 2, served)


def _distinct(*proofs: Proof | None) -> list[Proof]:
    """Return the proofs that there are, each owner's once."""
    out: list[Proof] = []
    for proof in proofs:
        if proof is not None and all(proof[0] != other[0] for other in out):
            out.append(proof)
    return out
