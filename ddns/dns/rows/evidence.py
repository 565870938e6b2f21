"""Rows of the catalogue: vouchers, certificates, attestations and other evidence."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.EVIDENCE,
        (
            "evidence-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "a voucher, a certificate, a request or another proof is not in the form that its standard gives it",
            "as the sentence says; the box or its maker has a bug",
        ),
        (
            "idevid-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "the box's own certificate has no serial number, two, or an extension that cannot be read",
            "enrol the box by invitation, and tell its maker",
        ),
        (
            "voucher-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "what a voucher, or the request for one, says is not what RFC 8366 gives it to say",
            "as the sentence says; the box or its maker has a bug",
        ),
    ),
)  # fmt: skip
