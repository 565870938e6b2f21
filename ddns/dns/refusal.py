"""A refusal: what to answer when a request may not be done. A value, never an exception."""

from __future__ import annotations

import msgspec

from ddns.dns.codes import Ede, Rcode


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is refused, and what to answer.

    *rcode* goes into the header (for TSIG and SIG(0) errors it is NOTAUTH and *error* says more),
    *ede* and *text* into an extended error (RFC 8914) where the asker spoke EDNS. *text* is one
    sentence that tells a person what to do; it never holds what the asker may not know. *code* is
    stable, for programs and for `docs/reference/refusals.md`.
    """

    code: str
    rcode: Rcode
    text: str
    ede: Ede = Ede.OTHER
    error: int = 0  # the TSIG error of RFC 8945 §3, or the same number for SIG(0)
