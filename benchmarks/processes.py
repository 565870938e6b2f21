"""What a tree of processes has used: CPU time and memory, read from /proc."""

from __future__ import annotations

import contextlib
from pathlib import Path

PROC = Path("/proc")


def tree(pids: list[int]) -> list[int]:
    """Return *pids* and all their descendants."""
    found: list[int] = []
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in (PROC / str(pid) / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return found


def read_pids(text: str) -> list[int]:
    """Return the pids that *text* says: `12,34`, or `@FILE` with some in it."""
    if text.startswith("@"):
        text = Path(text[1:]).read_text()
    return [int(word) for word in text.replace(",", " ").split()]


def cpu(pids: list[int]) -> dict[int, int]:
    """Return the nanoseconds that each living thread below *pids* has run."""
    out = {}
    for pid in tree(pids):
        with contextlib.suppress(OSError):
            for task in (PROC / str(pid) / "task").iterdir():
                out[int(task.name)] = int((task / "schedstat").read_text().split()[0])
    return out


def cpu_between(before: dict[int, int], after: dict[int, int]) -> float:
    """Return the CPU seconds from one `cpu` to the next."""
    return sum(ran - before.get(thread, 0) for thread, ran in after.items()) / 1e9


def title(pid: int) -> str:
    """Return the process's command line in one line; empty where it has gone."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def memory(pids: list[int]) -> float:
    """Return the MiB of *pids* alone: shared pages divided among those who share them (PSS), else the resident ones."""
    total = 0
    for pid in pids:
        for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
            try:
                text = (PROC / str(pid) / name).read_text()
            except OSError:
                continue
            total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith(field)), 0)
            break
    return total / 1024


def workers(pids: list[int]) -> list[int]:
    """Return those of our server's workers that are below *pids*."""
    return [pid for pid in tree(pids) if "ddns.worker" in title(pid)]
