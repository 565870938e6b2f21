"""Rows of the catalogue: a home that is to be made, and its invitation."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
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
            "invitation-missing", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "an enrolment by invitation that the invitation's secret has not signed, or has not signed last",
            "sign with the secret as HS256, as the last signature, and name the invitation in `kid`",
        ),
        (
            "statement-not-for-us", "NOTAUTH", Ede.NOT_AUTHORITATIVE, Turn.FORM,
            "the statement's `aud` is another registry's zone, or not the one that the invitation is for",
            "sign a statement for this registry",
        ),
        (
            "act-elsewhere", "REFUSED", Ede.OTHER, Turn.FORM,
            "a statement of another act was sent to `/v1/enrol`",
            "send it to `/v1/statements`",
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
            "key-not-trusted-yet", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "a home's gateway has shown a new key; the registry keeps it for 7 days, and the key before it goes on",
            "have the home's owner approve it (`ddns phone say approve-key`), or an operator",
        ),
        (
            "home-exists", "YXDOMAIN", Ede.PROHIBITED, Turn.POLICY,
            "the home's name has been given already",
            "ask for another name",
        ),
    ),
)  # fmt: skip
