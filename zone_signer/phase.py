"""Where a record of a key is in the world's caches, and what a key is for. Values, nothing else.

A record that is published is *rumoured* while some cache may still hold what stood there before, and *omnipresent*
once none can. Taken away, it is *unretentive* while some cache may still hold it, and *hidden* once none can. RFC 7583
§3.1 names states of whole keys; `keyview.KeyView.label` derives them from these phases.
"""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where one record of one key is in the world's caches; NONE where a key of its role has no such record."""

    NONE = "none"
    HIDDEN = "hidden"
    RUMOURED = "rumoured"
    OMNIPRESENT = "omnipresent"
    UNRETENTIVE = "unretentive"


class Record(StrEnum):
    """What a key has in the world: itself, the signatures that it makes over the zone, and the DS at the parent.

    A key of role csk or ksk signs the DNSKEY RRset exactly while it is in it, so that those signatures need no
    phase of their own: whoever holds such an RRset holds its signatures too.
    """

    DNSKEY = "dnskey"
    ZRRSIG = "zrrsig"
    DS = "ds"


class Role(StrEnum):
    """What a key signs: the DNSKEY RRset (ksk), all else (zsk), or both (csk; RFC 6781 §3.1)."""

    CSK = "csk"
    KSK = "ksk"
    ZSK = "zsk"


SHOWN = frozenset({Phase.RUMOURED, Phase.OMNIPRESENT})  # what is published now
STRAY = frozenset({Phase.RUMOURED, Phase.OMNIPRESENT, Phase.UNRETENTIVE})  # what some cache may hold
GONE = frozenset({Phase.NONE, Phase.HIDDEN})  # what no cache holds
MOVING = frozenset({Phase.RUMOURED, Phase.UNRETENTIVE})  # what has not settled
