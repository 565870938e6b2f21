"""An event loop that calls prompt readers as soon as their descriptor can be read, out of its own wait.

asyncio puts a handle for each descriptor that is ready into a queue, runs each in a context of its own, and looks at
its timers; for an update that comes alone the loop turns three times. Law: prompt readers run where no task does, in
the order in which the system names their descriptors, before what waits in the queue; what they raise is told like any
other callback's. Whoever has one calls `remove_reader` before the descriptor is closed.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from time import monotonic
from typing import Any, TypeVar, TypeVarTuple, Unpack

MOST = 128  # descriptors that one look at the system names; the others follow with the next

Reader = Callable[[], object]
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class _Wait:
    """What a loop and its selector share: the *prompt* readers, and whether the loop has *news* that end its wait."""

    __slots__ = ("news", "prompt")

    def __init__(self) -> None:
        self.prompt: dict[int, Reader] = {}
        self.news = False


if sys.platform == "linux":
    from select import EPOLLIN, EPOLLOUT

    class _Selector(selectors.EpollSelector):
        """Epoll that calls the prompt readers of *wait* by itself, and tells of all other descriptors."""

        # The base class has no other way to them.
        _selector: Any
        _fd_to_key: dict[int, selectors.SelectorKey]

        def __init__(self, wait: _Wait, failed: Callable[[BaseException, Reader], None]) -> None:
            super().__init__()
            self._wait = wait
            self._failed = failed

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """Wait for *timeout* seconds, None: for ever, or until there is more to do than to call prompt readers."""
            wait, poll = self._wait, self._selector.poll
            end = monotonic() + timeout if timeout else 0.0
            while True:
                wait.news = False
                try:
                    # Epoll counts milliseconds: rather one too many.
                    found = poll(-1 if timeout is None else math.ceil(timeout * 1e3) * 1e-3, MOST)
                except InterruptedError:
                    return []
                rest = self._call(found)
                if rest or wait.news or timeout == 0:
                    return rest
                if timeout is not None:
                    timeout = end - monotonic()
                    if timeout <= 0:
                        return rest

        def _call(self, found: list[tuple[int, int]]) -> list[tuple[selectors.SelectorKey, int]]:
            """Call the prompt readers among what was *found*, and return the rest."""
            prompt = self._wait.prompt
            rest: list[tuple[selectors.SelectorKey, int]] = []
            for descriptor, event in found:
                reader = prompt.get(descriptor) if event == EPOLLIN else None
                if reader is not None:
                    try:
                        reader()
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:  # noqa: BLE001 - as asyncio does with any callback
                        self._failed(error, reader)
                    continue
                key = self._fd_to_key.get(descriptor)
                if key is not None:
                    events = (selectors.EVENT_READ if event & ~EPOLLOUT else 0) | (
                        selectors.EVENT_WRITE if event & ~EPOLLIN else 0
                    )
                    rest.append((key, events & key.events))
            return rest


class Loop(asyncio.SelectorEventLoop):
    """asyncio's loop with prompt readers; where the system has no epoll, they are called as asyncio does."""

    def __init__(self) -> None:
        self._wait = _Wait()
        self._at_once = False
        super().__init__(_Selector(self._wait, self._failed) if sys.platform == "linux" else None)
        # What whoever asked for a callback gets that has been called already.
        self._done = asyncio.Handle(_nothing, (), self)
        self._done.cancel()

    def watch(self, descriptor: int, reader: Reader) -> None:
        """Have the prompt *reader* called whenever *descriptor* can be read, until `remove_reader`."""
        self.add_reader(descriptor, reader)
        self._wait.prompt[descriptor] = reader

    def remove_reader(self, fd: Any) -> bool:
        """Have nobody called any more who reads *fd*."""
        self._wait.prompt.pop(fd, None)
        return super().remove_reader(fd)

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Have *callback* called in the next turn; a prompt reader that asks for it ends the wait."""
        if self._at_once:
            self._at_once = False
            (context or copy_context()).run(callback, *args)
            return self._done
        self._wait.news = True
        return super().call_soon(callback, *args, context=context)

    def at_once(self, settle: Callable[[_T], object], value: _T) -> None:
        """Call *settle* with *value*, and the first callback that it asks for at once, where no task runs."""
        if asyncio.current_task(self) is not None:
            settle(value)
            return
        self._at_once = True
        try:
            settle(value)
        finally:
            self._at_once = False

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have *callback* called at *when*, which may be before the wait would end by itself."""
        self._wait.news = True
        return super().call_at(when, callback, *args, context=context)

    def stop(self) -> None:
        """End with this turn."""
        self._wait.news = True
        super().stop()

    def _failed(self, error: BaseException, reader: Reader) -> None:
        self.call_exception_handler({"message": f"Exception in the prompt reader {reader!r}", "exception": error})


def _nothing() -> None:
    """Do nothing."""


def at_once(loop: asyncio.AbstractEventLoop, settle: Callable[[_T], object], value: _T) -> None:
    """Settle a future with *value*; where *loop* can and no task runs, its waiter goes on before this returns."""
    if isinstance(loop, Loop):
        loop.at_once(settle, value)
    else:
        settle(value)


def watch(loop: asyncio.AbstractEventLoop, descriptor: int, reader: Reader) -> None:
    """Have *reader* called by *loop* whenever *descriptor* can be read: promptly, where the loop can do that."""
    if isinstance(loop, Loop):
        loop.watch(descriptor, reader)
    else:
        loop.add_reader(descriptor, reader)
