"""A future whose waiter goes on at once, in the turn of the loop in which its result comes.

asyncio's own futures put the waiter into the queue of the next turn: for a server that waits for one thing at a time
that is another look at all sockets, with the caches gone cold meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

from ddns.turns import at_once

T = TypeVar("T")


class Prompt(asyncio.Future[T]):
    """What one task awaits, on a loop that is a `ddns.turns.Loop`.

    Where another task runs while the result comes, or on another loop, the waiter goes on in the next turn after all.
    """

    __slots__ = ()

    def set_result(self, result: T) -> None:
        """Have the waiter go on with *result*; it is called once, and not after `set_exception`."""
        at_once(self.get_loop(), super().set_result, result)

    def set_exception(self, exception: type[BaseException] | BaseException) -> None:
        """Have the waiter go on with *exception*."""
        at_once(self.get_loop(), super().set_exception, exception)
