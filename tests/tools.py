"""Programs of other people that tests rely on: without one a test is skipped, in CI it fails."""

from __future__ import annotations

import os
import shutil

import pytest

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def need(program: str) -> str:
    """Return the path of *program*. Where it is missing, skip the test, or fail it if `CI` is set."""
    found = shutil.which(program, path=_PATH)
    if found is None:
        complaint = f"{program} is not installed"
        if os.environ.get("CI"):
            pytest.fail(complaint)
        pytest.skip(complaint)
    return found
