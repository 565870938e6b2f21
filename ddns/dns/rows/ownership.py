"""Rows of the catalogue: what is signed by owners, boxes and gateways, and what they may do with what is theirs."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.OWNERSHIP,
        (
            "statement-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "the octets are no signed statement: not JSON, not base64url, a member twice, or an algorithm not taken",
            "the sentence says where; the client's bug",
        ),
        (
            "statement-signature-wrong", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "a signature is missing, does not show its key, is not by that key, or is one too many",
            "have everybody sign who has to, in the order that the sentence says, over the same octets",
        ),
        (
            "statement-stale", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "the statement is over, or comes from the future",
            "set the clock that is wrong, and sign anew",
        ),
        (
            "statement-too-long", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "the time from `iat` to `exp` is longer than the act may be signed for",
            "sign for 15 minutes; what a phone carries for 30 days, a release for 90",
        ),
    ),
)  # fmt: skip
