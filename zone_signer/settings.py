"""Where the signer finds its master key and its socket, from options, the environment and the state folder."""

from __future__ import annotations

import os
from pathlib import Path

from zone_signer.vault import Vault, VaultError, master_of

MASTER_KEY = "signer.key"
SOCKET = Path("run") / "signer.sock"


def master_key_path(given: Path | None, state: Path) -> Path:
    """Return *given*, else the credential that systemd passes (LoadCredential=signer.key), else the state folder's."""
    if given is not None:
        return given
    passed = os.environ.get("CREDENTIALS_DIRECTORY")
    if passed and (Path(passed) / MASTER_KEY).exists():
        return Path(passed) / MASTER_KEY
    return state / MASTER_KEY


def socket_path(given: Path | None, state: Path) -> Path:
    """Return *given*, else the socket in the state folder."""
    return given if given is not None else state / SOCKET


def open_vault(path: Path, sealed: bytes | None) -> Vault:
    """Open the vault of the master key at *path*; *sealed* is any signing key of the database, None where it has none.

    A master key is made only for a database that holds no keys yet: a new one would open none of them. Raises
    `VaultError`.
    """
    vault = Vault.load(path, create=sealed is None)
    if sealed is not None and master_of(sealed) != vault.master:
        raise VaultError(
            f"the database's signing keys are sealed under master key {master_of(sealed).hex()}, but {path} holds"
            f" {vault.master.hex()}; put back the right one"
        )
    return vault
