"""The HTTP status of each refusal; a code without a row here is 403, which is what most refusals of a wish are.

A room that adds a refusal which the API can answer adds its status here; a test compares with the catalogue.
"""

from __future__ import annotations

_BY_STATUS = {
    400: (
        "act-elsewhere",
        "invitation-missing",
        "request-malformed",
        "body-malformed",
        "statement-malformed",
        "reason-needed",
    ),
    401: (
        "token-missing",
        "token-unknown",
        "token-expired",
        "statement-signature-wrong",
        "statement-stale",
        "statement-too-long",
        "statement-not-for-us",
        "client-certificate-missing",
        "registrar-not-named",
    ),
    404: ("not-found", "idevid-unknown-issuer", "box-not-expected", "voucher-denied", "voucher-unknown"),
    405: ("method-unknown",),
    406: ("not-acceptable",),
    409: (
        "cannot-be-done",
        "home-exists",
        "invitation-spent",
        "label-unavailable",
        "statement-replayed",
        "not-in-this-state",
        "home-held",
        "box-owned",
        "box-claimed",
        "box-stolen",
        "claim-open",
        "claim-barred",
        "too-many-claims",
        "too-many-keys",
        "key-known",
        "last-owner-key",
        "keys-pending",
        "recovery-open",
        "recovery-disputed",
    ),
    412: ("policy-changed-meanwhile",),
    413: ("body-too-large",),
    415: ("media-type",),
    422: (
        "label-not-allowed",
        "label-mixed-scripts",
        "label-special",
        "field-unknown",
        "field-wrong",
        "idempotency-key-reused",
        "cursor-wrong",
        "key-unfit",
    ),
    429: ("too-many-requests", "quota-reached", "key-rolls-rationed"),
    500: ("our-fault",),
    503: ("desk-busy", "too-slow", "database-away"),
}

STATUSES = {code: status for status, codes in _BY_STATUS.items() for code in codes}
USUAL = 403


def status_of(code: str) -> int:
    """Return the status of the refusal *code*."""
    return STATUSES.get(code, USUAL)
