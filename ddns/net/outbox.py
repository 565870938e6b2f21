"""Answers that leave together: those of one commit, or of zones that came together, in one call for each socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

# An answer's octets, its peer, and the ancillary data of a socket that is bound to all addresses.
Parcel = tuple[bytes, Any, Any]
# What is entered while answers are given that may leave together.
Together = Callable[[], AbstractContextManager[None]]


class Sends(Protocol):
    """A socket that sends many answers at once."""

    def send_many(self, parcels: list[Parcel]) -> None:
        """Send *parcels*; what cannot be sent is lost."""


class Outbox:
    """Where answers wait while `together` is entered; nothing waits at other times."""

    __slots__ = ("_held", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._held: dict[Sends, list[Parcel]] = {}

    @contextmanager
    def together(self) -> Iterator[None]:
        """Have what is put here meanwhile leave at the end of the outermost, also where that is an exception."""
        if self.is_open:
            yield
            return
        self.is_open = True
        try:
            yield
        finally:
            self.is_open = False
            held, self._held = self._held, {}
            for sender, parcels in held.items():
                sender.send_many(parcels)

    def put(self, sender: Sends, parcel: Parcel) -> None:
        """Have *sender* send *parcel* with the others."""
        self._held.setdefault(sender, []).append(parcel)
