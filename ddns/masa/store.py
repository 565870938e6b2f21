"""What a MASA remembers, in one sqlite3 file: its boxes, to whom they were sold, and for which domains it signed.

Law: a voucher is in the log, committed, before it leaves. Nothing is ever taken out of the log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

FILE = "masa.sqlite3"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS devices (
    serial TEXT PRIMARY KEY, digest BLOB NOT NULL, added_at INTEGER NOT NULL,
    stopped_at INTEGER, why TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS sales (
    id INTEGER PRIMARY KEY AUTOINCREMENT, serial TEXT NOT NULL REFERENCES devices (serial), domain BLOB NOT NULL,
    at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, serial TEXT NOT NULL REFERENCES devices (serial), at INTEGER NOT NULL,
    domain BLOB NOT NULL, nonce BLOB, assertion TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_by_serial ON log (serial, id);
"""
_BUSY = 10.0  # seconds to wait for another process that writes


class Device(msgspec.Struct, frozen=True):
    """A box: *digest* is SHA-256 of its IDevID, *sold_to* the domain that it was sold to last, if that was said."""

    serial: str
    digest: bytes
    stopped: bool
    sold_to: bytes | None


class Event(msgspec.Struct, frozen=True):
    """One line of the log: for which *domain* (the identifier of its key) a voucher was signed, and when."""

    at: int
    domain: bytes
    nonce: bytes | None
    assertion: str


class Store:
    """The file in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def make(self) -> None:
        """Make the tables."""
        with self._open() as conn:
            conn.executescript(_SCHEMA)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        conn = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None)
        try:
            conn.execute("PRAGMA foreign_keys = ON")
            conn.execute("PRAGMA synchronous = FULL")
            yield conn
        finally:
            conn.close()

    def add(self, serial: str, digest: bytes, now: int) -> bool:
        """Remember a box; tell whether it was new."""
        with self._open() as conn:
            done = conn.execute(
                "INSERT OR IGNORE INTO devices (serial, digest, added_at) VALUES (?, ?, ?)", (serial, digest, now)
            )
            return done.rowcount == 1

    def find(self, serial: str) -> Device | None:
        """Return the box *serial*."""
        with self._open() as conn:
            row = conn.execute(
                """SELECT digest, stopped_at IS NOT NULL,
                          (SELECT domain FROM sales WHERE sales.serial = devices.serial ORDER BY id DESC LIMIT 1)
                   FROM devices WHERE serial = ?""",
                (serial,),
            ).fetchone()
        return None if row is None else Device(serial, row[0], bool(row[1]), row[2])

    def sell(self, serial: str, domain: bytes, now: int) -> int:
        """Note that the box was sold to *domain*; return how often it has been sold now."""
        with self._open() as conn:
            conn.execute("INSERT INTO sales (serial, domain, at) VALUES (?, ?, ?)", (serial, domain, now))
            (times,) = conn.execute("SELECT count(*) FROM sales WHERE serial = ?", (serial,)).fetchone()
        return int(times)

    def stop(self, serial: str, why: str, now: int) -> bool:
        """Sign no voucher for the box any more; tell whether there is such a box."""
        with self._open() as conn:
            done = conn.execute("UPDATE devices SET stopped_at = ?, why = ? WHERE serial = ?", (now, why, serial))
            return done.rowcount == 1

    def append(self, serial: str, event: Event) -> None:
        """Write *event* into the log of the box."""
        with self._open() as conn:
            conn.execute(
                "INSERT INTO log (serial, at, domain, nonce, assertion) VALUES (?, ?, ?, ?, ?)",
                (serial, event.at, event.domain, event.nonce, event.assertion),
            )

    def log(self, serial: str, most: int) -> tuple[list[Event], int]:
        """Return the last *most* events of the box, newest first, and how many there are."""
        with self._open() as conn:
            rows = conn.execute(
                "SELECT at, domain, nonce, assertion FROM log WHERE serial = ? ORDER BY id DESC LIMIT ?", (serial, most)
            ).fetchall()
            (count,) = conn.execute("SELECT count(*) FROM log WHERE serial = ?", (serial,)).fetchone()
        return [Event(*row) for row in rows], int(count)
