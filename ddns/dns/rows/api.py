"""Rows of the catalogue: requests to the HTTPS API."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.API,
        (
            "request-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the first line or a header is not HTTP/1.1, or there are more than 64 headers or 16 KiB of them",
            "mend the client",
        ),
        (
            "not-found", "NXDOMAIN", Ede.OTHER, Turn.STATE,
            "no such path or thing, or it is another tenant's",
            "check the address, and which token was sent",
        ),
        (
            "method-unknown", "NOTIMP", Ede.OTHER, Turn.FORM,
            "the path is there, but not with this method",
            "send one of those in the header Allow",
        ),
        (
            "not-acceptable", "NOTIMP", Ede.OTHER, Turn.FORM,
            "the path does not answer in any form that Accept names",
            "ask for one that the sentence names",
        ),
        (
            "media-type", "FORMERR", Ede.OTHER, Turn.FORM,
            "the body has another Content-Type than this path reads",
            "send it as the sentence says",
        ),
        (
            "body-too-large", "FORMERR", Ede.OTHER, Turn.FORM,
            "the body is longer than this path takes",
            "send less at a time",
        ),
        (
            "body-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the body is not of the type that it says it is",
            "mend the client",
        ),
        (
            "field-unknown", "FORMERR", Ede.OTHER, Turn.FORM,
            "a field or parameter that this path does not know",
            "leave it out; [the document of the API](openapi.json) lists all",
        ),
        (
            "field-wrong", "FORMERR", Ede.OTHER, Turn.FORM,
            "a field or parameter is missing, or has a value or a type that it cannot have",
            "mend it; [the document of the API](openapi.json) says what each may be",
        ),
        (
            "policy-changed-meanwhile", "REFUSED", Ede.OTHER, Turn.STATE,
            "the `If-Match` of a change names another state of the policy than the one that it has",
            "read it again, and send the ETag of that answer",
        ),
        (
            "cursor-wrong", "FORMERR", Ede.OTHER, Turn.FORM,
            "`after` was not given out for this list",
            "begin with the first page",
        ),
        (
            "token-missing", "NOTAUTH", Ede.PROHIBITED, Turn.KEY,
            "this path is for those with a token",
            "`ddns token add --rights …` makes one",
        ),
        (
            "token-unknown", "NOTAUTH", Ede.PROHIBITED, Turn.KEY,
            "the token was never given out, or was revoked",
            "ask for a new one",
        ),
        (
            "token-expired", "NOTAUTH", Ede.PROHIBITED, Turn.KEY,
            "the token is over",
            "ask for a new one",
        ),
        (
            "token-elsewhere", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the token is for other networks than the one it came from",
            "use it there, or ask for one without that bound",
        ),
        (
            "right-missing", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the token has not the right that this needs",
            "ask for a token with it",
        ),
        (
            "too-many-requests", "REFUSED", Ede.OTHER, Turn.LATER,
            "the ration of this address or this token is used up",
            "wait as long as Retry-After says",
        ),
        (
            "desk-busy", "SERVFAIL", Ede.OTHER, Turn.LATER,
            "more requests wait than the desk has room for",
            "wait as long as Retry-After says",
        ),
        (
            "too-slow", "SERVFAIL", Ede.OTHER, Turn.LATER,
            "the database or the signer took longer than a request may",
            "ask again; a request with an Idempotency-Key, or a statement, is never done twice",
        ),
        (
            "cannot-be-done", "REFUSED", Ede.OTHER, Turn.STATE,
            "things are not so that this can be done; the sentence is the one that the command line says",
            "do what it says",
        ),
        (
            "idempotency-key-reused", "REFUSED", Ede.OTHER, Turn.FORM,
            "the Idempotency-Key came with another request within the last day",
            "choose a fresh one for each wish",
        ),
        (
            "statement-replayed", "REFUSED", Ede.OTHER, Turn.FORM,
            "another statement of this key has the same jti, or another key said the same words before",
            "make a new one with a jti of its own; the very same statement is answered as the first time",
        ),
        (
            "our-fault", "SERVFAIL", Ede.OTHER, Turn.LATER,
            "a fault of the service; its log has the rest",
            "tell whoever runs the registry",
        ),
    ),
)  # fmt: skip
