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
            "evidence-expired", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "the time until which an attestation token holds is over",
            "have the box make a new one",
        ),
        (
            "evidence-not-yet", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "an attestation token says that it was made, or begins to hold, in the future",
            "set the clock of the box",
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
