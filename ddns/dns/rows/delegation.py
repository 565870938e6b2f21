"""Rows of the catalogue: a home's delegation to servers of its own."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.DELEGATION,
        (
            "delegation-other-name", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the update names something else than the home whose key signed it, or the home is not below this zone",
            "sign with the key of the home whose delegation it is, one home to a message",
        ),
        (
            "delegation-other-type", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "something else than NS and DS at the home, and addresses of its servers",
            "send other records to the home's own servers",
        ),
        (
            "delegation-prerequisite", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "an update of a delegation with prerequisites",
            "leave them out: the whole delegation is checked anyway",
        ),
        (
            "delegation-no-server", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "no NS would be left",
            "give the home's new servers in the same message",
        ),
        (
            "delegation-too-many", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "more servers, addresses, DS or keys than are taken",
            "at most 13 servers of 8 addresses each, 8 DS, 16 keys",
        ),
        (
            "delegation-glue-outside", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "an address of a host that is not below the home, or is none of its servers",
            "give addresses only of servers whose names are below the home's",
        ),
        (
            "delegation-no-address", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "a server whose name is below the home's has no address beside it",
            "add its A or AAAA in the same message",
        ),
        (
            "delegation-private", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a server at an address that nobody reaches from elsewhere",
            "give its public address; for networks of one's own: `[delegation] private`",
        ),
        (
            "delegation-digest", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "a DS with another digest than SHA-256 or SHA-384",
            "make it anew with digest type 2 or 4",
        ),
        (
            "delegation-unsigned", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "the home would have no DS, and nobody asked for that",
            "add its DS, or delete the DS in the same message if it is to be insecure",
        ),
        (
            "delegation-lame", "REFUSED", Ede.NETWORK_ERROR, Turn.STATE,
            "a listed server does not answer over TCP, or not for the home",
            "see that every listed server answers at every address, then sign anew",
        ),
        (
            "delegation-differs", "REFUSED", Ede.INVALID_DATA, Turn.STATE,
            "the listed servers do not all show the NS records to be listed, and the same keys",
            "bring them to one version of the zone",
        ),
        (
            "delegation-ttl", "REFUSED", Ede.INVALID_DATA, Turn.STATE,
            "the TTL of the home's DNSKEY records is above two days",
            "lower it",
        ),
        (
            "delegation-bogus", "REFUSED", Ede.DNSSEC_BOGUS, Turn.STATE,
            "what the listed servers show would not validate under the DS to be listed",
            "compare the DS with the zone's keys; every algorithm of the DS must sign",
        ),
        (
            "delegation-hosted", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "another DS for a home that is served here",
            "none: its keys and its DS are the registry's while it is served here",
        ),
        (
            "delegation-under-way", "REFUSED", Ede.PROHIBITED, Turn.LATER,
            "the home is on its way out or back, and its delegation must stay as it is for now",
            "`ddns delegation show` says what it waits for; it may always return",
        ),
        (
            "delegation-too-soon", "REFUSED", Ede.PROHIBITED, Turn.LATER,
            "its delegation has been changed a moment ago",
            "wait; `[delegation] hold`",
        ),
        (
            "delegation-changed", "REFUSED", Ede.PROHIBITED, Turn.STATE,
            "its delegation was changed by somebody else while its servers were asked",
            "look at it, and sign anew",
        ),
        (
            "delegation-busy", "SERVFAIL", Ede.NOT_READY, Turn.LATER,
            "its servers, or too many others', are being checked",
            "send the same message again in a moment",
        ),
        (
            "delegation-slow", "SERVFAIL", Ede.NETWORK_ERROR, Turn.LATER,
            "the listed servers took longer than 8 seconds",
            "send the same message again; see that they answer quickly",
        ),
        (
            "notify-of-many", "FORMERR", Ede.OTHER, Turn.FORM,
            "a NOTIFY with records of another name than its own",
            "one NOTIFY for each child",
        ),
        (
            "notify-rationed", "NOERROR", Ede.BLOCKED, Turn.LATER,
            "more NOTIFYs about this child, or from this network, than are followed",
            "none: the child is visited all the same; `[delegation] per_child`, `per_source`",
        ),
    ),
)  # fmt: skip
