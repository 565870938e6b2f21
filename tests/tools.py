"""Programs of other people that tests rely on: without one a test is skipped, in CI it fails."""

from __future__ import annotations

import os
import pty
import shutil
from typing import NoReturn

import pytest

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def need(program: str) -> str:
    """Return the path of *program*. Where it is missing, skip the test, or fail it if `CI` is set."""
    found = shutil.which(program, path=_PATH)
    return found or _missing(f"{program} is not installed")


def need_terminal() -> tuple[int, int]:
    """Return both ends of a new terminal. Where there are none (a bare chroot), as `need`."""
    try:
        return pty.openpty()
    except OSError as error:
        _missing(f"no terminal: {error}")


def _missing(complaint: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(complaint)
    pytest.skip(complaint)
