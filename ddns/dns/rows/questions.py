"""Rows of the catalogue: questions, transfers and outages, and what a client of ours says about an answer."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
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
    *rows(
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
    *rows(
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
    *rows(
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
)  # fmt: skip
