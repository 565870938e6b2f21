"""Rows of the catalogue: TLSA records, and those that hosts register by themselves."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.TLSA,
        (
            "tlsa-not-safe-yet", "REFUSED", Ede.PROHIBITED, Turn.LATER,
            "what would be left is not in every cache yet, so that clients would refuse the server",
            "add the next key's record beside the old one; take the old one away at the time that the sentence says",
        ),
        (
            "tlsa-usage", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the record's usage is not one that the zone takes (RFC 7218 §2.1)",
            "3 1 1 for a key of its own, 2 1 1 for a CA of the home's own",
        ),
        (
            "tlsa-too-many", "REFUSED", Ede.PROHIBITED, Turn.LATER,
            "a thousand TLSA records of the zone are on their way already, or their absence is",
            "wait until caches have those; `ddns zone dane` shows them",
        ),
    ),
    *rows(
        Chapter.SERVICES,
        (
            "srp-name-taken", "YXDOMAIN", Ede.PROHIBITED, Turn.STATE,
            "the name of a host or of an instance has records without this key, or some that no host registered",
            "choose another name; one whose key is lost is free when its key lease ends",
        ),
        (
            "srp-name-reserved", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the host has a name that is not given to whoever comes first, such as `www` or `mail`",
            "choose another name",
        ),
        (
            "srp-signature-wrong", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "the update is not signed with the key that it gives its host",
            "sign with that key",
        ),
        (
            "srp-ttls-differ", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "records of one name and type have different TTLs",
            "give them one",
        ),
        (
            "srp-from-elsewhere", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the sender is not in a network from which the home's hosts may register",
            "`ddns home services LABEL --from PREFIX`",
        ),
        (
            "srp-zone-full", "REFUSED", Ede.PROHIBITED, Turn.LATER,
            "the zone has as many registered records as it may",
            "let some end, or withdraw them",
        ),
    ),
)  # fmt: skip
