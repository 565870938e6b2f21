"""The native helpers that read and write octets, where they were built; `DDNS_PURE=1` chooses Python without them.

Each of them returns what its twin in Python returns, or None: then that one does it, and says what is wrong.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

__all__ = [
    "apply",
    "asked",
    "find_trailer",
    "is_pure",
    "move_on",
    "open_signed",
    "order_key",
    "pack_parameters",
    "placed",
    "plain_step",
    "published",
    "read_name",
    "read_update",
    "replace",
    "replaced",
    "serve",
    "signed_rrsets",
    "stored",
    "tsig_put",
    "tsig_signed",
    "unpack_rows",
    "walk",
]


def is_pure() -> bool:
    """Tell whether the environment asks for Python alone."""
    return os.environ.get("DDNS_PURE", "") not in ("", "0")


def _leave(*_: object) -> None:
    """Leave it to Python."""


if TYPE_CHECKING:
    from ddns.dns._native import (
        apply,
        asked,
        find_trailer,
        move_on,
        open_signed,
        order_key,
        pack_parameters,
        placed,
        plain_step,
        published,
        read_name,
        read_update,
        replace,
        replaced,
        serve,
        signed_rrsets,
        stored,
        tsig_put,
        tsig_signed,
        unpack_rows,
        walk,
    )
else:
    apply = asked = find_trailer = move_on = open_signed = order_key = pack_parameters = placed = plain_step = _leave
    published = read_name = read_update = replace = replaced = serve = signed_rrsets = stored = tsig_put = _leave
    tsig_signed = unpack_rows = walk = _leave
    if not is_pure():
        with contextlib.suppress(ImportError):
            from ddns.dns._native import (
                apply,
                asked,
                find_trailer,
                move_on,
                open_signed,
                order_key,
                pack_parameters,
                placed,
                plain_step,
                published,
                read_name,
                read_update,
                replace,
                replaced,
                serve,
                signed_rrsets,
                stored,
                tsig_put,
                tsig_signed,
                unpack_rows,
                walk,
            )
