"""The bounds of transfers, as one worker is told them."""

from __future__ import annotations

import msgspec


class TransferLimits(msgspec.Struct, frozen=True):
    """What one worker spends on transfers.

    *at_once*: transfers under way. *seconds*: for one. *stall*: seconds without anything read by its client.
    *history*: editions that one IXFR may lead through. *delta*: octets of editions, as stored, that one IXFR may
    have; and *ratio*: as a share of the zone, above which the whole zone is sent instead.

    *tries*: NOTIFYs without an answer before a secondary is left alone until the next change. *wait*: seconds after
    the first of them, doubled each time. *notify_from*: addresses that they are sent from, one of each family at most.
    """

    at_once: int = 8
    seconds: float = 900.0
    stall: float = 30.0
    history: int = 1000
    delta: int = 4 * 1024 * 1024
    ratio: float = 1.0
    tries: int = 6
    wait: float = 2.0
    notify_from: tuple[str, ...] = ()
