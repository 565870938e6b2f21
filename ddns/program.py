"""How one program of ours runs another."""

from __future__ import annotations

import sys
from pathlib import Path


def program(*words: str) -> list[str]:
    """Return the command that runs a module of ours with the same Python, given as `-m` takes it.

    The current folder, which may be anybody's, is kept out of the child's imports, unless we come from there
    ourselves: from a checkout that is run as it lies.
    """
    here = Path(__file__).resolve().parent.parent
    return [sys.executable, *([] if here == Path.cwd() else ["-P"]), "-m", *words]
