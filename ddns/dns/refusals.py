"""The catalogue of all refusals: for each stable code what it says, whose turn it is, and what cures it.

Law: every `Refusal` in the code has its row here and every row a place in the code; a test compares the
two, response code and extended error included. The page docs/reference/refusals.md is written from here
(`python -m ddns.dns.refusals_page`), `ddns explain CODE` shows a row, and the agent's exit status comes
from a row's *turn*. To add a refusal: add its row, write the page anew.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ddns.dns.codes import Ede


class Turn(StrEnum):
    """Whose turn it is after a refusal, that is, what would have to change before the same wish is granted."""

    POLICY = "policy"  # the registry does not allow it: ask for a grant, or ask for less
    KEY = "key"  # the key, or the signature by it, is not accepted: enrol again
    CLOCK = "clock"  # the sender's clock is wrong
    LATER = "later"  # nothing is wrong with the message: send it again in a while
    STATE = "state"  # the zone is not as the sender thinks: look, and send another update
    FORM = "form"  # the message is not what the standard allows: the client has a bug
    ANSWER = "answer"  # the answer is not the registry's, or nobody can tell


class Chapter(StrEnum):
    """Where a row stands on the page."""

    SIGNATURES = "Signatures"
    PERMISSION = "Permission"
    FORM = "Form"
    PREREQUISITES = "Prerequisites"
    LIMITS = "Limits"
    ENROLMENT = "Enrolment"
    SERVICES = "Service registration"
    TLSA = "TLSA records"
    DELEGATION = "Delegation"
    TRANSFERS = "Transfers"
    QUESTIONS = "Questions"
    OUTAGES = "Outages and rations"
    CLIENT = "What a client of ours says about an answer"


class Row(msgspec.Struct, frozen=True):
    """One refusal: *says* is the response code as the sender sees it, with the TSIG error where there is one.

    *meaning* and *cure* are phrases without a full stop, in Markdown.
    """

    code: str
    chapter: Chapter
    says: str
    ede: Ede
    turn: Turn
    meaning: str
    cure: str


def _rows(chapter: Chapter, *rows: tuple[str, str, Ede, Turn, str, str]) -> list[Row]:
    return [Row(code, chapter, says, ede, turn, meaning, cure) for code, says, ede, turn, meaning, cure in rows]


_ROWS = [
    *_rows(
        Chapter.SIGNATURES,
        (
            "update-unsigned", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "no TSIG and no SIG(0)",
            "sign it: nothing here is writable without a key",
        ),
        (
            "signature-misplaced", "FORMERR", Ede.OTHER, Turn.FORM,
            "the signature record is not the last, or there are two",
            "the client's bug",
        ),
        (
            "tsig-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the TSIG record does not parse, or its MAC has an impossible length",
            "the client's bug",
        ),
        (
            "tsig-key-unknown", "NOTAUTH, BADKEY", Ede.PROHIBITED, Turn.KEY,
            "no such key, revoked, or enrolled with another algorithm",
            "`ddns key list`; compare name and algorithm",
        ),
        (
            "tsig-signature-wrong", "NOTAUTH, BADSIG", Ede.PROHIBITED, Turn.KEY,
            "the secret differs, or the message was changed on its way",
            "compare the secret",
        ),
        (
            "tsig-time-wrong", "NOTAUTH, BADTIME", Ede.PROHIBITED, Turn.CLOCK,
            "the signature's time is too far from ours; the answer has our time",
            "set the sender's clock",
        ),
        (
            "tsig-mac-short", "NOTAUTH, BADTRUNC", Ede.PROHIBITED, Turn.KEY,
            "the MAC was truncated below what we take",
            "send the whole MAC",
        ),
        (
            "sig0-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the SIG(0) record does not parse",
            "the client's bug",
        ),
        (
            "sig0-key-unknown", "NOTAUTH, BADKEY", Ede.PROHIBITED, Turn.KEY,
            "no enrolled key has this name, tag and algorithm",
            "`ddns key list`; enrol the key",
        ),
        (
            "sig0-signature-wrong", "NOTAUTH, BADSIG", Ede.PROHIBITED, Turn.KEY,
            "another private key, or the message was changed",
            "sign with the enrolled key's private half",
        ),
        (
            "sig0-time-wrong", "NOTAUTH, BADTIME", Ede.PROHIBITED, Turn.CLOCK,
            "now is outside the signature's window",
            "set the sender's clock",
        ),
        (
            "sig0-window-wide", "NOTAUTH, BADTIME", Ede.PROHIBITED, Turn.POLICY,
            "the window is longer than allowed",
            "sign for minutes, not days; `[sig0] window`",
        ),
        (
            "request-too-old", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "the signature ended long ago by the database's clock: this server's own clock is behind",
            "set the server's clock; sign anew",
        ),
        (
            "key-revoked", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "the key was revoked while the update waited",
            "enrol again: `ddns home invite LABEL --again`",
        ),
    ),
    *_rows(
        Chapter.PERMISSION,
        (
            "update-cleartext", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "this server takes updates only over TLS, HTTPS or QUIC",
            "send it by DNS over TLS to port 853; `[update] transport` allows others",
        ),
        (
            "zone-unknown", "NOTAUTH", Ede.NOT_AUTHORITATIVE, Turn.POLICY,
            "this server does not have the zone",
            "name the zone that holds the name; `ddns zone list`",
        ),
        (
            "zone-removed", "NOTAUTH", Ede.NOT_AUTHORITATIVE, Turn.POLICY,
            "the zone was removed while the update waited",
            "ask the registry whether the zone moved",
        ),
        (
            "class-unknown", "NOTAUTH", Ede.NOT_AUTHORITATIVE, Turn.FORM,
            "the zone section's class is not IN",
            "the client's bug",
        ),
        (
            "zone-not-granted", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the key may write nothing in this zone",
            "`ddns grant add KEY ZONE`",
        ),
        (
            "name-not-granted", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "one of the names or types is outside the key's grants",
            "narrow the update, or widen the grant: `ddns grant add KEY ZONE --name NAME --types TYPES`",
        ),
        (
            "denied-by-rule", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a rule denies the name and type to this key; the sentence has its number and its reason",
            "leave it out, use a key of more assurance, or have the rule lifted; `ddns grant list`",
        ),
        (
            "too-many-for-rule", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a rule bounds how many records of the type a name may have, and the update makes more",
            "delete the old ones in the same update",
        ),
        (
            "assurance-too-low", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the grant is for keys of whose holder the registry is surer",
            "ask the registry to raise the key's assurance, or use another key",
        ),
        (
            "prerequisite-not-granted", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a key for ACME challenges alone asks about another name",
            "leave that prerequisite out",
        ),
        (
            "type-is-signers", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "RRSIG, NSEC, DNSKEY and their like are made by the signer",
            "leave them out",
        ),
        (
            "ds-at-apex", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a zone's DS belongs into the zone above",
            "update the parent",
        ),
        (
            "home-suspended", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the registry has suspended the home's updates",
            "speak to the registry; `ddns home release LABEL`",
        ),
        (
            "home-away", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the home has servers of its own, which hold its zone",
            "send updates to those; `ddns delegation return LABEL` brings the home back",
        ),
    ),
    *_rows(
        Chapter.FORM,
        (
            "message-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the message ends early, has octets too many, or a name does not parse",
            "the client's bug",
        ),
        (
            "update-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the zone section is not one SOA entry",
            "the client's bug",
        ),
        (
            "edns-version-unknown", "BADVERS", Ede.OTHER, Turn.FORM,
            "the OPT record is of another version than 0",
            "the client's bug",
        ),
        (
            "record-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "type, class, TTL or data of a record are not what RFC 2136 §3.2 and §3.4.1 allow",
            "the sentence names the record",
        ),
        (
            "name-outside-zone", "NOTZONE", Ede.OTHER, Turn.FORM,
            "a name is not at or below the zone's name",
            "one message per zone",
        ),
    ),
    *_rows(
        Chapter.PREREQUISITES,
        (
            "name-not-in-use", "NXDOMAIN", Ede.OTHER, Turn.STATE,
            "a name that must be in use is not",
            "look again and send a new update",
        ),
        (
            "name-in-use", "YXDOMAIN", Ede.OTHER, Turn.STATE,
            "a name that must not be in use is",
            "look again and send a new update",
        ),
        (
            "rrset-missing", "NXRRSET", Ede.OTHER, Turn.STATE,
            "records that must exist do not",
            "look again and send a new update",
        ),
        (
            "rrset-exists", "YXRRSET", Ede.OTHER, Turn.STATE,
            "records that must not exist do",
            "look again and send a new update",
        ),
        (
            "rrset-differs", "NXRRSET", Ede.OTHER, Turn.STATE,
            "the records are there with other values",
            "look again and send a new update",
        ),
    ),
    *_rows(
        Chapter.LIMITS,
        (
            "too-many-records", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the update has more prerequisites and operations than one may have",
            "split it; `[update] records_per_update`",
        ),
        (
            "rrset-too-long", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a name would have more records of one type than allowed",
            "delete some first; `[update] records_per_rrset`",
        ),
        (
            "rrset-too-big", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the data of one name and type would be longer than allowed",
            "delete some first; `[update] octets_per_rrset`",
        ),
        (
            "too-many-types", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a name would have records of more types than allowed",
            "delete some first; `[update] types_per_name`",
        ),
        (
            "ttl-too-long", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a TTL is longer than allowed",
            "ask for a shorter one; `[update] ttl`",
        ),
    ),
    *_rows(
        Chapter.ENROLMENT,
        (
            "invitation-only-key", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the update does more than add a KEY at the home's name",
            "publish after enrolment, with the gateway's own key",
        ),
        (
            "invitation-one-key", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "not exactly one KEY record",
            "add one",
        ),
        (
            "invitation-spent", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "spent, expired or withdrawn",
            "ask for a new invitation: `ddns home invite LABEL --again`",
        ),
        (
            "invitation-other-zone", "NOTAUTH", Ede.NOT_AUTHORITATIVE, Turn.FORM,
            "the update was sent for another zone than the registry's",
            "name the registry's zone",
        ),
        (
            "key-unfit", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "the KEY's algorithm, flags or length cannot be used",
            "P-256 (13) or Ed25519 (15), flags 512",
        ),
        (
            "home-exists", "YXDOMAIN", Ede.PROHIBITED, Turn.POLICY,
            "the home's name has been given already",
            "ask for another name",
        ),
    ),
    *_rows(
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
    *_rows(
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
    *_rows(
        Chapter.TRANSFERS,
        (
            "transfer-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "a question for AXFR or IXFR that is not as RFC 5936 and RFC 1995 have it",
            "the client's bug",
        ),
        (
            "transfer-edns-version", "BADVERS", Ede.OTHER, Turn.FORM,
            "a version of EDNS other than 0",
            "ask with version 0",
        ),
        (
            "transfer-over-udp", "FORMERR", Ede.NOT_SUPPORTED, Turn.FORM,
            "a question for AXFR by UDP or HTTPS",
            "ask over TCP, TLS or QUIC",
        ),
        (
            "transfer-no-zone", "NOTAUTH", Ede.NOT_AUTHORITATIVE, Turn.POLICY,
            "no zone of this name is served here",
            "ask for the apex of a zone",
        ),
        (
            "transfer-not-allowed", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "no right lets this key or address have the zone",
            "`ddns transfer allow`, or sign with the key that has the right",
        ),
        (
            "transfer-busy", "SERVFAIL", Ede.NOT_READY, Turn.LATER,
            "as many transfers are under way as one worker does at once",
            "ask again in a while; `[transfer] at_once`",
        ),
        (
            "transfer-away", "SERVFAIL", Ede.NOT_READY, Turn.LATER,
            "the registry's database does not answer, or the transfer took too long",
            "ask again in a moment; `[transfer] seconds`",
        ),
        (
            "transfer-unpublished", "SERVFAIL", Ede.NOT_READY, Turn.LATER,
            "the zone is new and has not been signed yet",
            "ask again later",
        ),
        (
            "transfer-failed", "SERVFAIL", Ede.OTHER, Turn.LATER,
            "a bug of ours, or a record that no message can hold",
            "tell the registry: its log says what happened",
        ),
    ),
    *_rows(
        Chapter.QUESTIONS,
        (
            "question-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "a query that is not as RFC 1035, RFC 6891 or an option's own RFC have it; the sentence says where",
            "the client's bug",
        ),
        (
            "question-signed", "REFUSED", Ede.NOT_SUPPORTED, Turn.KEY,
            "a question with a TSIG where no keys are known",
            "ask without a key",
        ),
        (
            "name-elsewhere", "REFUSED", Ede.NOT_AUTHORITATIVE, Turn.POLICY,
            "no zone that is served here holds the name; nothing is looked up elsewhere",
            "ask a resolver; `ddns zone list`",
        ),
        (
            "class-not-served", "REFUSED", Ede.NOT_SUPPORTED, Turn.POLICY,
            "a class other than IN, or a name of class CHAOS that is not set",
            "`[edns] identity` and `version` say what class CHAOS answers",
        ),
        (
            "type-without-data", "FORMERR", Ede.INVALID_QUERY_TYPE, Turn.FORM,
            "the type names a part of messages, or nothing (RFC 6895 §3.1, RFC 9824 §3.5)",
            "ask for a type that holds data",
        ),
        (
            "type-unsupported", "NOTIMP", Ede.NOT_SUPPORTED, Turn.FORM,
            "MAILA, MAILB or TKEY",
            "ask for the types that you need one by one",
        ),
        (
            "operation-unknown", "NOTIMP", Ede.NOT_SUPPORTED, Turn.FORM,
            "an opcode other than QUERY and UPDATE",
            "the client's bug",
        ),
        (
            "zone-unpublished", "SERVFAIL", Ede.NOT_READY, Turn.LATER,
            "the zone is new, and its first edition not signed yet",
            "ask again in a while; see that the signer runs",
        ),
        (
            "zone-unreadable", "SERVFAIL", Ede.NOT_READY, Turn.LATER,
            "the zone is not in memory, and cannot be read just now",
            "ask again in a while; see that the database runs",
        ),
        (
            "answer-too-long", "SERVFAIL", Ede.OTHER, Turn.STATE,
            "the records of one name and type do not fit into 65,535 octets",
            "have fewer of them",
        ),
    ),
    *_rows(
        Chapter.OUTAGES,
        (
            "sig0-rationed", "REFUSED", Ede.BLOCKED, Turn.LATER,
            "too many signatures to check from this key or place",
            "wait; `[sig0]` says how many",
        ),
        (
            "server-busy", "SERVFAIL", Ede.NOT_READY, Turn.LATER,
            "more updates or keys wait than fit into the queue",
            "send it again in a moment; `[update] waiting` and `lookups`",
        ),
        (
            "database-away", "SERVFAIL", Ede.NOT_READY, Turn.LATER,
            "the registry's database does not answer",
            "send the same octets again: what was done before the outage is not done twice",
        ),
        (
            "server-failed", "SERVFAIL", Ede.OTHER, Turn.LATER,
            "a bug of ours; nothing was changed",
            "tell the registry: its log has the traceback",
        ),
    ),
    *_rows(
        Chapter.CLIENT,
        (
            "reply-unsigned", "NOTAUTH, BADSIG", Ede.OTHER, Turn.ANSWER,
            "the reply has no signature, so it may be anybody's; the update may or may not have been made",
            "ask again; look what is published",
        ),
        (
            "reply-signature-wrong", "NOTAUTH, BADSIG", Ede.OTHER, Turn.ANSWER,
            "the reply's signature is not by our key",
            "ask again; look what is published",
        ),
        (
            "reply-time-wrong", "NOTAUTH, BADTIME", Ede.OTHER, Turn.CLOCK,
            "the reply was signed at another time than ours",
            "set the clock that is wrong",
        ),
        (
            "tsig-refused", "NOTAUTH", Ede.OTHER, Turn.KEY,
            "the server says that key, signature or time are wrong; the sentence says which",
            "as the sentence says",
        ),
    ),
    *_rows(
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
]  # fmt: skip

CATALOGUE = {row.code: row for row in _ROWS}


def turn_of(code: str) -> Turn | None:
    """Return whose turn it is after the refusal *code*; None for a code of another server or a later version."""
    row = CATALOGUE.get(code)
    return None if row is None else row.turn
