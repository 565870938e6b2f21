"""Refusals as problem documents (RFC 9457), with the codes and sentences that DNS answers carry too."""

from __future__ import annotations

import msgspec

from ddns.dns.refusal import Refusal
from ddns.dns.refusals import CATALOGUE
from ddns.web.heard import Response
from ddns.web.statuses import status_of

MEDIA = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong: *detail* is one sentence for people, *code* is for programs, *turn* says whose turn it is.

    *retry_after* is the number of seconds after which the same request may do better.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    turn: str
    retry_after: int | None = None


def response(refusal: Refusal, retry_after: int = 0, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return *refusal* as it is sent; *retry_after* in seconds, 0: nothing is said."""
    row = CATALOGUE[refusal.code]
    status = status_of(refusal.code)
    said = Problem(
        f"urn:nameplate:refusal:{refusal.code}", str(row.chapter), status, refusal.text, refusal.code, str(row.turn),
        retry_after or None,
    )  # fmt: skip
    more = (*headers, ("Retry-After", str(retry_after))) if retry_after else headers
    if status == 401 and "WWW-Authenticate" not in dict(more):
        more = (*more, ("WWW-Authenticate", "Bearer"))  # RFC 9110 §11.6.1
    return Response(status, msgspec.json.encode(said), MEDIA, more)
