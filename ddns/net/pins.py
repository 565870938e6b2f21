"""The published TLSA records of this server's TLS key, as `ddns.net.keeper` keeps them.

What this server has published is written down in its state folder first: after a restart it still knows which
records are its own and may go when the key is rolled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.operator import tlsa

DIGEST = 64  # characters of a digest in the file


class Publishing(msgspec.Struct, frozen=True):
    """What is published: the server's *name*, its *services* as (port, `tcp` or `udp`), and the *file* of what was."""

    name: str
    services: tuple[tuple[int, str], ...]
    file: str


class Pins:
    """The digests that this server has published, and how they become others."""

    def __init__(self, what: Publishing) -> None:
        self._name = names.from_text(what.name)
        self._owners = [tlsa.owner(self._name, port, protocol) for port, protocol in what.services]
        self._file = Path(what.file)
        self._ours = self._read()

    async def publish(self, conn: AsyncConnection[Any], wanted: frozenset[bytes]) -> int:
        """Bring the zone to *wanted* and return its id, 0 where nothing had to be written. Raises `CannotDo`."""
        self._write(self._ours | wanted)
        zone = await tlsa.keep(conn, self._name, self._owners, wanted, self._ours)
        self._write(wanted)
        return zone

    def _read(self) -> frozenset[bytes]:
        try:
            return frozenset(bytes.fromhex(one) for one in json.loads(self._file.read_text()) if len(one) == DIGEST)
        except (OSError, ValueError, TypeError):
            return frozenset()

    def _write(self, digests: frozenset[bytes]) -> None:
        if digests != self._ours:
            fresh = self._file.with_name(f".{self._file.name}")
            fresh.write_text(json.dumps(sorted(one.hex() for one in digests)))
            fresh.replace(self._file)
            self._ours = digests
