"""`python -m ddns.demo.leash PID COMMAND…`: become COMMAND, which ends when process PID does.

A program of its own, because what runs between fork and exec must not find other threads' locks held.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Ask for SIGTERM at the parent's death, see that it is not dead already, and become the command."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(arguments[0]):
        sys.exit(1)
    os.execv(arguments[1], arguments[1:])  # noqa: S606 - the demo's own command


if __name__ == "__main__":
    main(sys.argv[1:])
