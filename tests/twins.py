"""The twins of the hot path: what is tested of one is tested of the other."""

from __future__ import annotations

import os

import pytest

from ddns.answer import hot
from ddns.answer.rrl import Rrl, RrlLimits

TWINS = ("pure", "native")


def answerer(twin, table, rrl):
    """Return the *twin* over *table*.

    Where the native one was not built, skip the test, or fail it if `CI` is set.
    """
    need_twin(twin)
    if twin == "pure":
        return hot.PureAnswerer(table, rrl)
    return hot.NativeAnswerer(table, rrl)


def need_twin(twin):
    """Do `need_native` where *twin* is the native one: first of all, so that nothing is open when a test is skipped."""
    if twin != "pure":
        need_native()


def need_native():
    """Skip the test where the native twin was not built, or fail it if `CI` is set."""
    if hot.NativeAnswerer is None:
        complaint = f"no native twin: {hot.TWIN}"
        if os.environ.get("CI"):
            pytest.fail(complaint)
        pytest.skip(complaint)


class Both:
    """The hot path of both twins over one table; of the pure one alone where the native one was not built."""

    def __init__(self, table):
        self._pure = table.lookup
        self._native = hot.NativeAnswerer(table, Rrl(RrlLimits())).lookup if hot.NativeAnswerer else None

    def lookup(self, message):
        """Return what the hot path knows: both say the same octets, or nothing."""
        known = self._pure(message)
        assert self._native is None or self._native(message) == known, message.hex()
        return known
