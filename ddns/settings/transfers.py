"""Zone transfers, and who is told of changes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Transfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Zone transfers to secondaries, which `ddns transfer` allows, and what tells them of changes (NOTIFY)."""

    at_once: Annotated[int, Meta(ge=1, le=64, description="Transfers under way in each worker; more are put off.")] = 8
    seconds: Annotated[float, Meta(ge=1, le=86400, description="The longest time in seconds that one may take.")] = (
        900.0
    )
    stall: Annotated[
        float, Meta(ge=0.1, le=3600, description="Seconds after which a client that does not read is given up.")
    ] = 30.0
    history: Annotated[
        int,
        Meta(ge=0, le=100_000, description="Versions that one IXFR may lead through; who is further behind gets AXFR."),
    ] = 1000
    delta: Annotated[int, Meta(ge=0, description="Octets of changes, as stored, that one IXFR may consist of.")] = (
        4194304
    )
    ratio: Annotated[
        float,
        Meta(ge=0, description="What an IXFR may be of the zone's size before the whole zone is sent; 0: any size."),
    ] = 1.0
    editions: Annotated[
        int,
        Meta(
            ge=100, description="Versions of a zone whose changes are kept; those of a week, and the last 100 always."
        ),
    ] = 10_000
    tries: Annotated[
        int, Meta(ge=1, le=100, description="NOTIFYs without an answer after which a secondary is left alone a while.")
    ] = 6
    wait: Annotated[
        float,
        Meta(ge=0.1, le=60, description="Seconds for the answer to the first NOTIFY, doubled for each after."),
    ] = 2.0
    notify_from: Annotated[
        tuple[str, ...],
        Meta(max_length=2, description="Addresses that NOTIFY is sent from, one IPv4 and one IPv6; empty: any."),
    ] = ()
