"""Twisted on one asyncio loop, and the bridge between the two.

Import this before anything that imports `twisted.internet.reactor`. Law: what touches the database is
an asyncio coroutine; Twisted's side calls it as `on_loop(coroutine)` and gets a Deferred. The other
way round, inside a coroutine, is `await deferred.asFuture(loop)`. A time limit belongs inside the
coroutine (`async with asyncio.timeout(…)`): a cancelled Deferred fails with asyncio's CancelledError,
which `except Exception` misses.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred

from ddns.turns import Loop

_T = TypeVar("_T")


def _install() -> asyncio.AbstractEventLoop:
    installed = sys.modules.get("twisted.internet.reactor")
    if installed is None:
        fresh = Loop()
        asyncio.set_event_loop(fresh)
        asyncioreactor.install(fresh)  # type: ignore[no-untyped-call]
        return fresh
    if not isinstance(installed, asyncioreactor.AsyncioSelectorReactor):
        raise ImportError(  # noqa: TRY004 - it is an import that went wrong
            "another reactor is installed already: import ddns.aio before twisted.internet.reactor"
        )
    running: asyncio.AbstractEventLoop = installed._asyncioEventloop  # noqa: SLF001 - it has no public name
    return running


loop: asyncio.AbstractEventLoop = _install()


def on_loop(work: Coroutine[Any, Any, _T]) -> Deferred[_T]:
    """Run the asyncio coroutine *work* on the reactor's loop; the Deferred fires with its result."""
    return Deferred.fromFuture(asyncio.ensure_future(work, loop=loop))
