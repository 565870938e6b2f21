"""What a worker has counted, said in the log: one line now and then, and one at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from ddns.answer.counters import Counters

EVERY = 300.0  # seconds between two lines, where there is anything new

log = Logger(namespace="ddns.worker")


class Report:
    """Says what *counters* have counted since the worker began; *later* calls something after so many seconds."""

    def __init__(self, counters: Counters, later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._counters = counters
        self._later = later
        self._timer: Any = None
        self._said = counters.line()

    def start(self) -> None:
        """Say it every `EVERY` seconds from now on."""
        self._timer = self._later(EVERY, self._turn)

    def close(self) -> None:
        """Say it for the last time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._say()

    def _turn(self) -> None:
        if self._counters.line() != self._said:
            self._say()
        self.start()

    def _say(self) -> None:
        self._said = self._counters.line()
        log.info("worker.counted {counted}", counted=self._said)
