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
    ),
)  # fmt: skip
