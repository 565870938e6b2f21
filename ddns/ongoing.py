"""Work that goes on beside everything else on the loop, from when it is started until it is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Ongoing:
    """One piece of such work."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @property
    def is_on(self) -> bool:
        """Tell whether it was started and has not come to its end."""
        return self._task is not None and not self._task.done()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin *work*, on the running loop."""
        self._task = asyncio.ensure_future(work)

    async def end(self) -> bool:
        """Cancel it and wait until it has ended, whatever it raises; tell whether it was ever started."""
        task, self._task = self._task, None
        if task is None:
            return False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return True
