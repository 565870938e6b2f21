"""What is under way, in a file of the gateway's folder, with the key that was made for it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from ddns.gateway.key import write_private
from ddns.gateway.state import BadState

_Kept = TypeVar("_Kept")


def read(path: Path, kind: type[_Kept]) -> _Kept | None:
    """Return what *path* holds, a value of *kind*; None: there is no such file. Raises `BadState`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        raise BadState(f"{path} cannot be read; remove it and begin again") from None


def write(path: Path, kept: msgspec.Struct) -> None:
    """Replace what *path* holds, whole or not at all. Raises `BadState`."""
    try:
        write_private(path, msgspec.json.encode(kept) + b"\n")
    except OSError as error:
        raise BadState(f"{path} cannot be written: {error.strerror}") from None


def drop_key(folder: Path, stem: str) -> None:
    """Remove both files of a key. Raises `OSError`."""
    for end in (".private", ".key"):
        (folder / f"{stem}{end}").unlink(missing_ok=True)
