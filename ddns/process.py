"""A process that serves: what it says goes to stderr, it works on the one loop, and it ends by SIGTERM.

Workers and the desk are such processes, each with a composition root of its own.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from ddns.aio import loop, on_loop


class Serving(Protocol):
    """What a process runs."""

    async def start(self) -> None:
        """Begin to serve."""

    async def stop(self) -> None:
        """Finish what was taken, then let go of everything."""


def reactor() -> Any:
    """Return the reactor, which `ddns.aio` has installed; Twisted's own annotations do not know all that it can do."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 - only after ddns.aio

    return installed


def run(make: Callable[[], Serving], log: Logger, failed: str) -> None:
    """Serve what *make* returns until SIGTERM.

    Where it cannot start, *failed* is written to *log* as the event that it is, and the process ends with status 1.
    """
    asyncio.set_event_loop(loop)
    _log_to_stderr()
    serving = make()

    def launch(work: Callable[[], Coroutine[Any, Any, None]]) -> Deferred[None]:
        return on_loop(work())

    def end(failure: Any) -> None:
        log.failure(failed, failure=failure)
        os._exit(1)

    reactor().callWhenRunning(lambda: launch(serving.start).addErrback(end))
    reactor().addSystemEventTrigger("before", "shutdown", functools.partial(launch, serving.stop))
    reactor().run()


def _log_to_stderr() -> None:
    # Twisted's own annotations do not know that its observers are observers.
    observer: Any = textFileLogObserver(sys.stderr)
    wanted: Any = LogLevelFilterPredicate(LogLevel.info)
    wanted.setLogLevelForNamespace("twisted.web", LogLevel.error)  # it tells of each client's mistakes
    filtered: Any = FilteringLogObserver(observer, [wanted])
    globalLogBeginner.beginLoggingTo([filtered], redirectStandardIO=False)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s [%(name)s] %(message)s")
