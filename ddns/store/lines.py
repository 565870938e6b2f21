"""Connections for statements that may be under way at the same time, such as the commits of different homes.

What one of them waits for, a page from the disk or its log, costs no processor time; others use it meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from ddns.store.line import Line


class Lines:
    """Several connections, of which the first that is free is used: who is alone always has the same one."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = tuple(lines)
        self._next = 0

    def free(self) -> Line:
        """Return a connection over which nothing is under way; where there is none, one after the other."""
        for line in self._lines:
            if not line.busy:
                return line
        self._next = (self._next + 1) % len(self._lines)
        return self._lines[self._next]

    def owns(self, backend: int) -> bool:
        """Tell whether the server process *backend* is at the other end of one of them: see `Line.owns`."""
        return any(line.owns(backend) for line in self._lines)

    def close(self) -> None:
        """End the connections; what is under way is given up."""
        for line in self._lines:
            line.close()
