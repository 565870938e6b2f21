"""A future whose waiter goes on at once, in the turn of the loop in which its result comes.

asyncio's own futures put the waiter into the queue of the next turn: for a server that waits for one thing at a time
that is another look at all sockets, with the caches gone cold meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Prompt(Generic[T]):
    """What one task awaits; it is Future-compatible as asyncio understands that (PEP 3156).

    Where another task runs while the result comes, the waiter goes on in the next turn after all.
    """

    __slots__ = ("_asyncio_future_blocking", "_context", "_done", "_error", "_loop", "_result", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._done = False
        self._result: T | None = None
        self._error: BaseException | None = None
        self._waiter: Callable[[Prompt[T]], object] | None = None
        self._context: Context | None = None

    def done(self) -> bool:
        """Tell whether there is a result or an error."""
        return self._done

    def set_result(self, result: T) -> None:
        """Have the waiter go on with *result*; it is called once, and not after `set_exception`."""
        self._result = result
        self._settle()

    def set_exception(self, error: BaseException) -> None:
        """Have the waiter go on with *error*."""
        self._error = error
        self._settle()

    def exception(self) -> BaseException | None:
        """Return the error, where that is what came."""
        return self._error

    def result(self) -> T:
        """Return the result, or raise the error."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # what came, where it is not an error

    # -- what a task needs

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        return self._loop

    def cancel(self, msg: object = None) -> bool:
        """Have the waiter be cancelled, unless it goes on anyway."""
        del msg
        if self._done:
            return False
        self._error = asyncio.CancelledError()
        self._settle(at_once=False)
        return True

    def add_done_callback(self, waiter: Callable[[Prompt[T]], object], *, context: Context | None = None) -> None:
        """Have *waiter* called; there is one at most."""
        self._waiter, self._context = waiter, context
        if self._done:
            self._loop.call_soon(waiter, self, context=context)

    def __await__(self) -> Generator[Any, None, T]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    def _settle(self, *, at_once: bool = True) -> None:
        assert not self._done
        self._done = True
        waiter, context = self._waiter, self._context
        if waiter is None:
            return
        if not at_once or context is None or asyncio.current_task(self._loop) is not None:
            self._loop.call_soon(waiter, self, context=context)
        else:
            context.run(waiter, self)
