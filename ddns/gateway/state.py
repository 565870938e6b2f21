"""What the gateway knows: its home, its registry, and for each device what is wanted and what is published.

Law: what is wanted is written down before it is asked for, what is published only after the server
confirmed it. One process at a time holds the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ddns.gateway.key import write_private

FILE = "gateway.json"
VERSION = 1


class BadState(ValueError):
    """A state folder that cannot be used; the message names it and the cure."""


class Pin(msgspec.Struct, frozen=True, order=True):
    """What a TLS server at *port*, or at port 0 a client, proves itself by: *digest* is the SHA-256 of a key, in hex.

    *usage* 3 is for its own key, 2 for that of the CA that has issued its certificate (RFC 7218 §2.1). *phase* is empty
    for a key that is used, "standby" for one that may be needed, "next" for one that takes the others' place.
    """

    port: int
    digest: str
    phase: str = ""
    usage: int = 3

    @property
    def identity(self) -> tuple[int, str, int]:
        """Return what makes the record this one."""
        return self.port, self.digest, self.usage


class Device(msgspec.Struct, frozen=True):
    """What stands in the DNS for one name: addresses and pins in order, *ttl* in seconds.

    *lease* (seconds) is how long it may stand there without being published again, 0: until it is removed. *guarded*:
    the registry is to refuse what could have a client meet a key that it does not know yet.
    """

    addresses: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()
    ttl: int = 300
    lease: int = 0
    guarded: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended: exit *status* and one *sentence*, *at* in seconds since 1970."""

    at: int
    status: int
    sentence: str


class Entry(msgspec.Struct, frozen=True):
    """One name: what is *wanted* (None: gone), what is *published*, and how the last attempt ended.

    *until* (seconds since 1970) is when the registry takes it away where it was leased.
    """

    wanted: Device | None = None
    published: Device | None = None
    outcome: Outcome | None = None
    until: int | None = None


class Record(msgspec.Struct, frozen=True):
    """A record beside those of devices, spelled as a master file has it: *owner* in full, *ttl* in seconds."""

    owner: str
    type: str
    data: str
    ttl: int = 3600


class Kept(msgspec.Struct, frozen=True):
    """A record that is *wanted* or is to go, and how the last attempt ended; what is gone is not kept."""

    record: Record
    wanted: bool = True
    outcome: Outcome | None = None


class State(msgspec.Struct, frozen=True):
    """The gateway's state; names in presentation form, *key* the stem of the key's files.

    *proved_at* is the last time that the registry proved (seconds since 1970); it does not go back. *server* is the
    `ServerKey` with which the registry signs its answers; without one it does not sign them. *tls* is the port at
    which it takes updates over TLS, 0: they go in the clear. *heard*: its last answer came by UDP. *web* is where it
    takes statements by HTTPS, a TLS name and a port, None: nobody knows; it is known there by *cafile*, certificates in
    PEM, or by *pins*. *key* is empty after a reset, until there is another.
    """

    home: str
    registry: str
    host: str
    port: int
    key: str
    enrolled_at: int | None = None
    devices: dict[str, Entry] = {}
    proved_at: int = 0
    server: str = ""
    tls: int = 0
    records: tuple[Kept, ...] = ()
    heard: bool = False
    web: tuple[str, int] | None = None
    cafile: str = ""
    pins: tuple[str, ...] = ()
    version: int = VERSION


def read(folder: Path) -> State | None:
    """Return the state in *folder*, or None where there is none yet. Raises `BadState`."""
    path = folder / FILE
    try:
        state = msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadState(f"the gateway's state {path} cannot be read: {reason}") from None
    if state.version != VERSION:
        raise BadState(f"{path} was written by another version ({state.version}) of this program")
    return state


def write(folder: Path, state: State) -> None:
    """Replace the state in *folder*, whole or not at all. Raises `BadState`."""
    octets = msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n"
    try:
        write_private(folder / FILE, octets)
    except OSError as error:
        raise BadState(f"the gateway's state {folder / FILE} cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make *folder* if need be and hold it alone. Raises `BadState` where it cannot be, or another holds it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadState(f"the gateway's folder {folder} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BadState(f"another gateway command is at work in {folder}; wait for it and try again") from None
    try:
        yield
    finally:
        os.close(descriptor)
