"""Which twin of the hot path runs: C where it was built, else Python; chosen once, when this file is imported.

Both give the same octets. `DDNS_PURE=1` in the environment chooses Python.
"""

from __future__ import annotations

from types import ModuleType

from ddns.dns.twin import is_pure


def _choose() -> tuple[ModuleType | None, str]:
    """Return the native module, or None; and which twin runs, in words."""
    if is_pure():
        return None, "pure Python, as DDNS_PURE asks"
    try:
        from ddns.answer import _native as native  # noqa: PLC0415 - chosen here
    except ImportError:
        return None, "pure Python, the native twin was not built"
    return native, "native"


NATIVE, TWIN = _choose()
