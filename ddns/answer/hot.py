"""Which twin answers from the table: C where it was built, else Python; chosen once, when this file is imported.

Both read the same objects and give the same octets. `DDNS_PURE=1` in the environment chooses Python.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ddns.answer.cookied import Cookied
from ddns.answer.rrl import Rrl
from ddns.answer.table import Table

if TYPE_CHECKING:
    from ddns.answer import _native


class PureAnswerer:
    """The twin in Python; the reader that drains for it is `ddns.net.udp.UdpReader`."""

    __slots__ = ("cookied", "lookup")

    def __init__(self, table: Table, rrl: Rrl) -> None:
        self.lookup: Callable[[bytes], bytes | None] = table.lookup
        self.cookied = None if rrl.cookies is None else Cookied(table, rrl.cookies)


def _choose() -> tuple[type[_native.Answerer] | None, str]:
    """Return the native twin, or None; and which of them runs, in words."""
    if os.environ.get("DDNS_PURE", "") not in ("", "0"):
        return None, "pure Python, as DDNS_PURE asks"
    try:
        from ddns.answer import _native as native  # noqa: PLC0415 - chosen here
    except ImportError:
        return None, "pure Python, the native twin was not built"
    return native.Answerer, "native"


NativeAnswerer, TWIN = _choose()
Answerer: TypeAlias = "PureAnswerer | _native.Answerer"


def answerer(table: Table, rrl: Rrl) -> Answerer:
    """Return the twin that runs, over *table*, limited by *rrl*."""
    return (NativeAnswerer or PureAnswerer)(table, rrl)
