"""Files that operators hand in: master files with what they include, `.key` files, secrets."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

from ddns.auth import keyfile, keys
from ddns.dns.codes import Algorithm
from ddns.dns.masterfile import BadMasterFile
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.dns.zonefile import ZoneText, read_zone
from ddns.operator.fault import CannotDo

MOST_OCTETS = 64 * 1024  # of a key or secret file


def zone_text(path: Path, origin: Name, *, signed: bool, shown: str | None = None) -> ZoneText:
    """Return the zone *origin* of the master file *path*, which may include files relative to the naming one.

    *signed*: we sign it, so DNSSEC records in the file are left out. Errors call the file *shown*. Raises `CannotDo`.
    """
    name = shown or str(path)
    folder = path.parent
    paths: dict[str, Path] = {name: folder}

    def include(written: str, included_by: str) -> tuple[str, BinaryIO]:
        target = paths.get(included_by, folder) / written
        stream = _open(target)
        paths[str(target)] = target.parent
        return str(target), stream

    try:
        with _open(path) as stream:
            return read_zone(stream, name, origin, keep_signatures=not signed, include=include)
    except BadMasterFile as error:
        raise CannotDo(str(error)) from None
    except OSError as error:
        raise CannotDo(f"{name}: the zone's file cannot be read ({error.strerror or error}); check the path.") from None


def _open(path: Path) -> BinaryIO:
    stream = path.open("rb")
    if stat.S_ISDIR(path.stat().st_mode):
        stream.close()
        raise IsADirectoryError(21, "it is a folder")
    return stream


def small_octets(path: Path) -> bytes:
    """Return what is in a file of keys or rules. Raises `CannotDo`."""
    try:
        with path.open("rb") as stream:
            octets = stream.read(MOST_OCTETS + 1)
    except OSError as error:
        raise CannotDo(f"{path} cannot be read ({error.strerror or error}); check the path.") from None
    if len(octets) > MOST_OCTETS:
        raise CannotDo(f"{path} is too long for a key; check the path.")
    return octets


def small_text(path: Path) -> str:
    """Return the text of a key or secret file. Raises `CannotDo`."""
    try:
        return small_octets(path).decode("ascii")
    except UnicodeDecodeError:
        raise CannotDo(f"{path} is not text; check the path.") from None


def public_key(path: Path) -> tuple[Name, Rdata]:
    """Return name and RDATA of the KEY in the file *path*, as `dnssec-keygen -T KEY -n HOST` writes it.

    Raises `CannotDo`.
    """
    try:
        name, rdata = keyfile.read_public(small_text(path))
    except keys.BadKey as error:
        raise CannotDo(f"{path}: {error}.") from None
    check_key(rdata, str(path))
    return name, rdata


def check_key(rdata: Rdata, where: str) -> tuple[int, int]:
    """Return algorithm and tag of a KEY's RDATA that may sign updates here. Raises `CannotDo`."""
    try:
        return keys.check(rdata)
    except keys.BadKey as error:
        raise CannotDo(f"{where}: {error}.") from None


def algorithm_name(number: int) -> str:
    """Return the name of a SIG(0) algorithm, or its number."""
    return Algorithm(number).name.lower() if number in set(Algorithm) else str(number)
