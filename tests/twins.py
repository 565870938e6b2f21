"""The twins of the hot path: what is tested of one is tested of the other."""

from __future__ import annotations

import os

import pytest

from ddns.answer import hot

TWINS = ("pure", "native")


def answerer(twin, table, rrl):
    """Return the *twin* over *table*.

    Where the native one was not built, skip the test, or fail it if `CI` is set.
    """
    if twin == "pure":
        return hot.PureAnswerer(table, rrl)
    if hot.NativeAnswerer is None:
        complaint = f"no native twin: {hot.TWIN}"
        if os.environ.get("CI"):
            pytest.fail(complaint)
        pytest.skip(complaint)
    return hot.NativeAnswerer(table, rrl)
