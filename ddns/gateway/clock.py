"""What time it is, for a box whose own clock may say 1970, and the key that proves it.

An answer to a SIG(0) says nothing about the time that anybody could trust (RFC 2931 knows no signed error).
A TSIG's BADTIME does: it is signed, covers our own request, and holds the registry's time (RFC 8945 §5.2.3). So the
invitation's key is kept when it is spent: it gives no right any more, but with it the registry's time can be asked for.
Law: a time that is not proved so is never used, nor one before the last that was.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.gateway.invitation import Invitation
from ddns.gateway.key import write_private
from ddns.gateway.state import BadState

FILE = "clock.json"
LATEST = 0xFFFF_FFFF  # seconds since 1970: SIG(0) times are serial numbers, a time behind this is nonsense


class Clock:
    """The time here, *system*, corrected by what a registry proved."""

    def __init__(self, system: Callable[[], float] = time.time) -> None:
        self._system = system
        self._offset = 0

    @property
    def system(self) -> int:
        """Return what this machine's own clock says, in seconds since 1970."""
        return int(self._system())

    @property
    def now(self) -> int:
        """Return the best that is known of the time, in seconds since 1970."""
        return int(self._system()) + self._offset

    @property
    def off(self) -> int:
        """Return by how many seconds this machine's own clock is behind, less than 0: ahead; 0: as far as is known."""
        return self._offset

    def correct(self, proved: int, floor: int = 0) -> bool:
        """Take over the time that a registry *proved*, unless it lies before *floor* or is nonsense; tell whether."""
        if not floor <= proved <= LATEST:
            return False
        self._offset = proved - int(self._system())
        return True


class _Kept(msgspec.Struct, frozen=True):
    name: str
    algorithm: str
    secret: str
    zone: str

    def __repr__(self) -> str:
        return f"_Kept({self.name!r})"


def keep(folder: Path, invitation: Invitation) -> None:
    """Keep the key of a spent *invitation* in *folder*, for its owner's eyes only. Raises `OSError`."""
    secret = base64.b64encode(invitation.secret).decode()
    kept = _Kept(names.to_text(invitation.key), invitation.algorithm, secret, names.to_text(invitation.zone))
    write_private(folder / FILE, msgspec.json.encode(kept) + b"\n")


def kept(folder: Path) -> tuple[Credential, names.Name] | None:
    """Return the key that `keep` kept in *folder* and the zone to ask for; None where there is none.

    Raises `BadState`.
    """
    try:
        found = msgspec.json.decode((folder / FILE).read_bytes(), type=_Kept)
        secret = Secret(base64.b64decode(found.secret, validate=True))
        credential = Credential(0, names.from_text(found.name), "tsig", found.algorithm, secret=secret)
        return credential, names.from_text(found.zone)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, binascii.Error, names.BadName):
        raise BadState(f"{folder / FILE} cannot be read; remove it, and set this machine's clock yourself") from None
