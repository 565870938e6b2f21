"""Rows of the catalogue: vouchers, certificates, attestations and other evidence."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.EVIDENCE,
        (
            "qr-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "what was scanned is no code of a box, or one that is damaged",
            "scan the code on the box again",
        ),
        (
            "qr-proof-wrong", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "who answered does not have the key that is printed on the box",
            "stand before the box, scan its code again and be in its network",
        ),
    ),
)  # fmt: skip
