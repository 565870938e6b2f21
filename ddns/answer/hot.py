"""The twin that answers from the table, as `ddns.answer.twin` has chosen; both read the same objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ddns.answer.cookied import Cookied
from ddns.answer.framing import PureFramer
from ddns.answer.rrl import Rrl
from ddns.answer.table import Table
from ddns.answer.twin import NATIVE, TWIN

if TYPE_CHECKING:
    from ddns.answer import _native


class PureAnswerer:
    """The twin in Python; the reader that drains for it is `ddns.net.udp.UdpReader`."""

    __slots__ = ("cookied", "frames", "lookup")

    def __init__(self, table: Table, rrl: Rrl) -> None:
        self.lookup: Callable[[bytes], bytes | None] = table.lookup
        self.frames = PureFramer(table.lookup, rrl.counters).frames
        self.cookied = None if rrl.cookies is None else Cookied(table, rrl.cookies)


NativeAnswerer: type[_native.Answerer] | None = getattr(NATIVE, "Answerer", None)
__all__ = ["TWIN", "Answerer", "NativeAnswerer", "PureAnswerer", "answerer"]

Answerer: TypeAlias = "PureAnswerer | _native.Answerer"


def answerer(table: Table, rrl: Rrl) -> Answerer:
    """Return the twin that runs, over *table*, limited by *rrl*."""
    return (NativeAnswerer or PureAnswerer)(table, rrl)
