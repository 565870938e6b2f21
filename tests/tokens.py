"""A PKCS#11 token of SoftHSM2 in a folder of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tools import need

MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
PIN = "correct horse 1234"
CONFIGURATION = """directories.tokendir = {tokens}
objectstore.backend = file
log.level = ERROR
slots.removable = false
"""


def module() -> Path:
    """Return the library of SoftHSM2. Where it is missing, skip the test, or fail it if `CI` is set."""
    need("softhsm2-util")
    found = [path for name in MODULES if (path := Path(name)).exists()]
    if not found and not os.environ.get("CI"):
        pytest.skip("the library of SoftHSM2 is not where Debian has it")
    return found[0]


class Token:
    """A token of the label *label* in *folder*; programs find it by `environment`."""

    def __init__(self, folder: Path, label: str = "one") -> None:
        self.module = module()
        self.folder = folder / "tokens"
        self.label = label
        self.pin = folder / f"{label}.pin"
        self.environment = {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
        self.folder.mkdir(exist_ok=True)
        Path(self.environment["SOFTHSM2_CONF"]).write_text(CONFIGURATION.format(tokens=self.folder))
        self.pin.touch(mode=0o600)
        self.pin.write_text(PIN + "\n")
        self.util("--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", PIN)

    def util(self, *words: str) -> str:
        """Run softhsm2-util with *words*, and return what it says."""
        environment = {**os.environ, **self.environment}
        command = [need("softhsm2-util"), *words]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    @property
    def options(self) -> list[str]:
        """Return the options by which zone-signer finds the token."""
        return [
            "--pkcs11", str(self.module), "--pkcs11-token", self.label, "--pkcs11-pin", str(self.pin),
        ]  # fmt: skip

    def octets(self) -> bytes:
        """Return all that the token has on the disk."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())
