"""Master keys as files: which there are, and how one takes another's place. What they seal is in `vault`.

Law: at every moment, also after a power cut, every master key that was here before is here, until it is retired.

`signer.key` seals and opens. Beside it `signer.key.ID` opens too and waits to take its place, and `signer.key.ID.old`
has sealed before; ID are the sixteen digits that tell a master key from others. All are their owner's alone (mode
0600), 32 random octets each. systemd's credentials of these names are read like files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from zone_signer.vault import MASTER, Vault, VaultError

ID = 8  # octets by which a master key is told from others
_ID = r"\.(?P<id>[0-9a-f]{16})"
_BESIDE = re.compile(_ID + r"(?P<old>\.old)?\Z")


class Files:
    """The master key at *path* and those beside it, read again when they have changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked: tuple[object, ...] = ()

    def load(self, *, create: bool = False) -> tuple[Vault, ...]:
        """Return all vaults, the one that seals first; its file is made where *create* says so. Raises `VaultError`."""
        if create and not self._path.exists():
            _write(self._path, os.urandom(MASTER))
        looked = self._look()
        found = (_read(self._path), *(_read(path) for path in _beside(self._path)))
        self._looked = looked
        return found

    def changed(self) -> tuple[Vault, ...] | None:
        """Return all vaults where the files have changed since this was asked last, else None. Raises `VaultError`."""
        looked = self._look()
        if looked == self._looked:
            return None
        self._looked = looked  # what cannot be read is said once, until it changes again
        return self.load()

    def _look(self) -> tuple[object, ...]:
        """Return what is another whenever a file comes, goes or takes another's place."""
        try:
            file, folder = self._path.stat(), self._path.parent.stat()
        except OSError:
            return ()
        return file.st_ino, file.st_mtime_ns, folder.st_ino, folder.st_mtime_ns


def add(path: Path, octets: bytes | None = None) -> Vault:
    """Put a master key beside the one at *path*, a new one unless *octets* are given. Raises `VaultError`."""
    if octets is not None and len(octets) != MASTER:
        raise VaultError(f"a master key has {MASTER} octets, and this has {len(octets)}; make one with - for FILE")
    octets = octets or os.urandom(MASTER)
    vault = Vault(octets)
    if vault.master in {_read(known).master for known in (path, *_beside(path))}:
        raise VaultError(f"the master key {vault.master.hex()} is here already")
    _write(file_of(path, vault.master), octets)
    return vault


def waiting(path: Path) -> list[bytes]:
    """Return the ids of the master keys that were added beside the one at *path* and have never sealed there."""
    return [_read(one).master for one in _beside(path) if not one.name.endswith(".old")]


def sealing_since(path: Path) -> float:
    """Return since when the master key at *path* seals, in seconds since 1970. Raises `VaultError`."""
    try:
        return path.stat().st_mtime
    except OSError as error:
        raise VaultError(f"the master key {path} cannot be read: {error.strerror}") from None


def put_first(path: Path, master: bytes) -> None:
    """Have the master key of the id *master*, which waits, seal instead of the one at *path*. Raises `VaultError`.

    Whoever was stopped in the midst of it does it again.
    """
    new = file_of(path, master)
    before = _read(path)
    if before.master == master:
        return
    _read(new)
    old = file_of(path, before.master).with_name(file_of(path, before.master).name + ".old")
    try:
        if not old.exists():
            _write(old, path.read_bytes())
        os.utime(new)  # since when it seals
        new.replace(path)
        _keep(path.parent)
    except OSError as error:
        raise VaultError(f"the master key {path} cannot be replaced: {error.strerror}") from None


def remove(path: Path, master: bytes) -> None:
    """Overwrite and remove the file of the id *master* beside the master key at *path*. Raises `VaultError`."""
    files = [one for one in _beside(path) if f".{master.hex()}" in one.name]
    if not files:
        raise VaultError(f"there is no master key {master.hex()} beside {path}; zone-signer master show lists them")
    # Whoever was stopped while it copied one has left it under a name with a dot.
    files += sorted(path.parent.glob(f".{path.name}*"))
    try:
        for file in files:
            with file.open("r+b") as writing:
                writing.write(os.urandom(MASTER))
                writing.flush()
                os.fsync(writing.fileno())
            file.unlink()
        _keep(path.parent)
    except OSError as error:
        raise VaultError(f"the master key {master.hex()} cannot be removed: {error.strerror}") from None


def file_of(path: Path, master: bytes) -> Path:
    """Return where a master key of the id *master* waits beside the one at *path*."""
    return path.with_name(f"{path.name}.{master.hex()}")


def _beside(path: Path) -> Iterator[Path]:
    """Yield the files beside the one at *path* that are master keys by their names, in order. Raises `VaultError`."""
    try:
        found = sorted(one for one in path.parent.iterdir() if one.name.startswith(path.name + "."))
    except OSError as error:
        raise VaultError(f"the folder {path.parent} cannot be read: {error.strerror}") from None
    yield from (one for one in found if _BESIDE.match(one.name, len(path.name)))


def _read(path: Path) -> Vault:
    """Return the vault of the master key in the file *path*. Raises `VaultError`."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(MASTER + 1)
    except FileNotFoundError:
        raise VaultError(
            f"the master key {path} is missing; put back its copy, for without it no signing key opens"
        ) from None
    except OSError as error:
        raise VaultError(f"the master key {path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise VaultError(f"the master key {path} is open to others; make it yours alone with chmod 600")
    if len(octets) != MASTER:
        raise VaultError(f"the master key {path} does not hold {MASTER} octets; put back its copy")
    vault = Vault(octets)
    named = re.search(_ID, path.name)
    if named and named["id"] != vault.master.hex():
        raise VaultError(f"the master key {path} is {vault.master.hex()}, another than its name says; rename it")
    return vault


def _write(path: Path, octets: bytes) -> None:
    """Write a master key that is whole on the disk under its name before anything is sealed with it.

    A file of that name that is there already stays. Raises `VaultError`.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Root's embedded Postgres runs as another user, who must pass through the state folder.
        path.parent.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)  # unlike a rename it replaces nothing that another process made meanwhile
        except FileExistsError:
            return
        finally:
            new.unlink()
        _keep(path.parent)
    except OSError as error:
        raise VaultError(f"the master key {path} cannot be made: {error.strerror}") from None


def _keep(folder: Path) -> None:
    """Have the names in *folder* outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
