"""The trouble that a box meets in a step, each piece of it a bounded number of times."""

from __future__ import annotations

import threading

import msgspec


class Trouble(msgspec.Struct, frozen=True):
    """How often it happens: the desk has a *stranger*'s key, it is *busy*, an update is *lost*.

    *tricks* are what is wrong with the vouchers that are given, one after the other.
    """

    stranger: int = 0
    busy: int = 0
    lost: int = 0
    tricks: tuple[str, ...] = ()


class Play:
    """What is left of the trouble of this step."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = Trouble()

    def begin(self, trouble: Trouble) -> None:
        """Have *trouble* happen from now on, and nothing else."""
        with self._lock:
            self._left = trouble

    def stranger(self) -> bool:
        """Tell whether the next connection meets a stranger."""
        return self._take("stranger")

    def busy(self) -> bool:
        """Tell whether the next wish is answered with 503."""
        return self._take("busy")

    def lost(self) -> bool:
        """Tell whether the next update is lost."""
        return self._take("lost")

    def trick(self) -> str:
        """Return what is wrong with the next voucher; nothing: it is good."""
        with self._lock:
            first, *rest = self._left.tricks or ("",)
            self._left = msgspec.structs.replace(self._left, tricks=tuple(rest))
            return first

    def _take(self, what: str) -> bool:
        with self._lock:
            left: int = getattr(self._left, what)
            if left:
                self._left = msgspec.structs.replace(self._left, **{what: left - 1})
            return left > 0
