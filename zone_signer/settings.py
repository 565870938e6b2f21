"""Where the signer finds its keys and its socket, from options, the environment and the state folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from zone_signer.masters import Files
from zone_signer.vault import VaultError, master_of
from zone_signer.vaults import Vaults

if TYPE_CHECKING:
    from zone_signer.hsm import Hsm

MASTER_KEY = "signer.key"
PIN = "pkcs11.pin"
SOCKET = Path("run") / "signer.sock"


class Where(msgspec.Struct, frozen=True):
    """Where keys are: the file with the *master* key, and the PKCS#11 *module* with its *token*, where there is one.

    *pin*: the file with the token's PIN.
    """

    master: Path
    module: Path | None = None
    token: str = ""
    pin: Path | None = None

    def words(self) -> tuple[str, ...]:
        """Return this as words of a command line. None of them is a secret."""
        if self.module is None:
            return (str(self.master),)
        return str(self.master), str(self.module), self.token, str(self.pin or "")

    @classmethod
    def from_words(cls, words: Sequence[str]) -> Where:
        """Return what `words` gave."""
        if len(words) == 1:
            return cls(Path(words[0]))
        master, module, token, pin = words
        return cls(Path(master), Path(module), token, Path(pin) if pin else None)


def master_key_path(given: Path | None, state: Path) -> Path:
    """Return *given*, else the credential that systemd passes (LoadCredential=signer.key), else the state folder's."""
    return given or _passed(MASTER_KEY) or state / MASTER_KEY


def pin_path(given: Path | None) -> Path | None:
    """Return *given*, else the credential that systemd passes (LoadCredential=pkcs11.pin), else None."""
    return given or _passed(PIN)


def _passed(name: str) -> Path | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) / name if folder and (Path(folder) / name).exists() else None


def socket_path(given: Path | None, state: Path) -> Path:
    """Return *given*, else the socket in the state folder."""
    return given if given is not None else state / SOCKET


def open_vaults(where: Where, sealed: bytes | None) -> Vaults:
    """Open the vaults at *where*; *sealed* is any key that the database has sealed, None where it has none.

    A master key is made only for a database that holds no keys yet: a new one would open none of them. Raises
    `VaultError`.
    """
    files = Files(where.master)
    found = files.load(create=sealed is None)
    vaults = Vaults(found, open_token(where), files.changed)
    if sealed is not None and master_of(sealed) not in vaults.masters:
        held = ", ".join(master.hex() for master in vaults.masters)
        raise VaultError(
            f"the database's signing keys are sealed under master key {master_of(sealed).hex()}, but {where.master}"
            f" holds {held}; put back the right one"
        )
    return vaults


def open_token(where: Where) -> Hsm | None:
    """Return the token at *where*, None where none is named. Raises `VaultError`."""
    if where.module is None:
        return None
    try:
        from zone_signer.hsm import Hsm  # noqa: PLC0415 - needs the extra that most installations lack
    except ImportError:
        raise VaultError("--pkcs11 needs python-pkcs11; install nameplate[hsm]") from None
    if where.pin is None:
        raise VaultError(f"the token {where.token} needs a PIN; give its file with --pkcs11-pin")
    return Hsm(where.module, where.token, where.pin)
