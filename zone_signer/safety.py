"""The law of keys: what may be published so that no validator, whatever it has cached, finds a zone bogus. Pure.

Nothing here knows how a roll is done. A validator combines any DS RRset, any DNSKEY RRset and any signatures that are
still in caches. It needs, for each algorithm of the DS RRset, a key of it that is in the DS and in the DNSKEY RRset,
and a key of it that is in the DNSKEY RRset and made a signature; for each algorithm of the DNSKEY RRset it may want a
signature (RFC 4035 §2.2, RFC 6840 §5.11). P below are the keys whose DS may be in some cache.

S0 *whole*: a DS goes only where another one stays, unless the zone is meant to lose its last.
S1 *chain*: for each algorithm of P one key has DNSKEY and DS in every cache, or all of P in it have their DNSKEY there.
S2 *data*: for each algorithm of P one key has DNSKEY and signatures in every cache, or every key of it whose signatures
   some cache holds has its DNSKEY in every cache.
S3 *algorithms*: with P, every algorithm of which some cache holds a DNSKEY is signed with now.
S4 *tags*: no two keys of a zone that are not removed share a tag.
S5 *entering*: a DS leaves hidden only while its own DNSKEY, and signatures of each algorithm of which a cache holds
   a DNSKEY, are in every cache; with P, a DNSKEY of an algorithm that caches do not know, only while signatures of it
   are in every cache.

The second arms of S1 and S2 allow what is cached to be any of several keys. For S1 that stands by itself: a cached DS
RRset with the algorithm holds some key of P. For S2 it needs that all cached signatures *have* some of the algorithm.
No set of phases can tell that (an old key's signatures unretentive beside a new key's rumoured may be a swap, or a zone
that was unsigned in between). So it is kept by induction: S5 lets a DS or a new algorithm in only when it is true, and
S3 keeps it true with every edition thereafter, until no DS is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from zone_signer.keyview import KeyView
from zone_signer.phase import SHOWN, STRAY, Phase

OMNIPRESENT = Phase.OMNIPRESENT


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with keys as they are or would be: the rule, and a sentence for people."""

    rule: str
    sentence: str


def fault(keys: Sequence[KeyView], *, insecure: bool, before: Sequence[KeyView] | None = None) -> Fault | None:
    """Return what is wrong with *keys*, or None.

    *insecure*: the zone is meant to lose its last DS. With *before*, the keys as they are, the step from there to
    *keys* is judged too (S5).
    """
    anchored = [key for key in keys if key.ds in STRAY]
    return (
        _tags(keys)
        or _whole(anchored, insecure=insecure)
        or _chain(anchored)
        or _data(keys, anchored)
        or _algorithms(keys, anchored)
        or (_entering(keys, before) if before is not None else None)
    )


def _tags(keys: Sequence[KeyView]) -> Fault | None:
    counted = Counter(key.tag for key in keys if key.removed is None)
    for tag, times in counted.items():
        if times > 1:
            return Fault("S4", f"{times} keys have the tag {tag}")
    return None


def _whole(anchored: Sequence[KeyView], *, insecure: bool) -> Fault | None:
    if anchored and not insecure and not any(key.ds in SHOWN for key in anchored):
        return Fault("S0", "no DS would be left at the parent")
    return None


def _chain(anchored: Sequence[KeyView]) -> Fault | None:
    for algorithm in _algorithms_of(anchored):
        those = [key for key in anchored if key.algorithm == algorithm]
        if any(key.ds is OMNIPRESENT and key.dnskey is OMNIPRESENT for key in those):
            continue
        lacking = [key for key in those if key.dnskey is not OMNIPRESENT]
        if lacking:
            sentence = f"caches may hold the DS of key {lacking[0].tag} and a DNSKEY RRset without it"
            return Fault("S1", sentence)
    return None


def _data(keys: Sequence[KeyView], anchored: Sequence[KeyView]) -> Fault | None:
    for algorithm in _algorithms_of(anchored):
        those = [key for key in keys if key.algorithm == algorithm]
        if any(key.dnskey is OMNIPRESENT and key.zrrsig is OMNIPRESENT for key in those):
            continue
        signing = [key for key in those if key.zrrsig in STRAY]
        if not signing:
            return Fault("S2", f"there is a DS of algorithm {algorithm}, and no cache holds a signature of it")
        for key in signing:
            if key.dnskey is not OMNIPRESENT:
                sentence = f"caches may hold signatures of key {key.tag} and a DNSKEY RRset without it"
                return Fault("S2", sentence)
    return None


def _algorithms(keys: Sequence[KeyView], anchored: Sequence[KeyView]) -> Fault | None:
    if not anchored:
        return None
    for algorithm in _algorithms_of(key for key in keys if key.dnskey in STRAY):
        if not any(key.zrrsig in SHOWN for key in keys if key.algorithm == algorithm):
            sentence = f"caches may hold a DNSKEY of algorithm {algorithm}, and nothing is signed with it any more"
            return Fault("S3", sentence)
    return None


def _entering(after: Sequence[KeyView], before: Sequence[KeyView]) -> Fault | None:
    was = {key.id: key for key in before}
    signed = _algorithms_of(key for key in before if key.zrrsig is OMNIPRESENT and key.zrrsig is _now(after, key))
    known = _algorithms_of(key for key in before if key.dnskey in STRAY)
    anchored = any(key.ds in STRAY for key in after)
    for key in after:
        old = was.get(key.id)
        had_ds = old is not None and old.ds in STRAY
        had_dnskey = old is not None and old.dnskey in STRAY
        if key.ds in STRAY and not had_ds:
            if old is None or old.dnskey is not OMNIPRESENT or key.dnskey is not OMNIPRESENT:
                return Fault("S5", f"key {key.tag} may have a DS only when every cache has its DNSKEY")
            unsigned = sorted(known - signed)
            if unsigned:
                sentence = f"a DS is too early while some caches hold no signature of algorithm {unsigned[0]}"
                return Fault("S5", sentence)
        new = key.dnskey in STRAY and not had_dnskey and key.algorithm not in known
        if new and anchored and key.algorithm not in signed:
            sentence = f"key {key.tag} may be published only when every cache has signatures of its algorithm"
            return Fault("S5", sentence)
    return None


def _now(after: Sequence[KeyView], key: KeyView) -> Phase:
    return next((one.zrrsig for one in after if one.id == key.id), Phase.HIDDEN)


def _algorithms_of(keys: Iterable[KeyView]) -> frozenset[int]:
    return frozenset(key.algorithm for key in keys)
