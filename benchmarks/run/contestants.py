"""The servers that are measured: started on the same data, each in a folder and on a port of its own, and stopped.

Ours is started by `start_ours.sh`, the peers by the scripts of the comparison harness. Law: whatever is started is
stopped, by the pid that its script wrote and by nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import processes

HERE = Path(__file__).resolve().parents[1]
STOPPING = 90.0  # seconds that a server gets to end by itself
SCRIPTS = {"bind": "start_bind.sh", "knot": "start_knot.sh", "nsd": "start_nsd.sh"}
OURS = ("ours", "ours-pure", "ours-one")  # the second without its native twin
NAMES = {
    "ours": "ours", "ours-pure": "ours, pure Python", "ours-one": "ours, one zone", "bind": "BIND", "knot": "Knot",
    "nsd": "NSD",
}  # fmt: skip
_SECONDS = re.compile(r"^\S+ (\w+_s) ([0-9.]+)$", re.MULTILINE)


class CannotMeasure(Exception):
    """Something that one row cannot do without has failed; the other rows go on."""


def call(words: list[str], *, timeout: float, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Return what a program printed. Raises `CannotMeasure` with its last words where it fails or takes too long."""
    try:
        done = subprocess.run(
            words, env=os.environ | (env or {}), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CannotMeasure(f"{' '.join(words)}: not done within {timeout:.0f} s") from None
    except OSError as error:
        raise CannotMeasure(f"{words[0]}: {error.strerror}") from None
    if done.returncode:
        raise CannotMeasure(f"{' '.join(words)}: exit status {done.returncode}: {done.stdout.strip()[-500:]}")
    return done.stdout


@dataclass
class Contestant:
    """One server on one set of data; *env* goes to its start script."""

    label: str
    folder: Path
    port: int
    data: Path
    harness: Path | None
    ddns: str
    env: dict[str, str] = field(default_factory=dict)
    timeout: float = 900.0

    @property
    def name(self) -> str:
        return NAMES[self.label]

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"

    @property
    def pids(self) -> list[int]:
        return processes.read_pids(f"@{self.pid_file}")

    def start(self) -> dict[str, float]:
        """Start it, cold where its folder is new, and return the seconds that its script reports."""
        self.stop()
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
                try:
                    sock.bind(("127.0.0.1", self.port))
                except OSError as error:
                    raise CannotMeasure(f"port {self.port} cannot be used: {error.strerror}") from None
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        if self.label in OURS:
            script = HERE / "start_ours.sh"
            env = {"DDNS": self.ddns, "SIG0": "1", "TLS": "1", "DDNS_PURE": "1" if self.label == "ours-pure" else ""}
        elif self.harness is None:
            raise CannotMeasure(f"{self.name} is started by the comparison harness: say where it is with --harness")
        else:
            script, env = self.harness / SCRIPTS[self.label], {}
        if self.label == "nsd" and not (self.data / "homes.signed").exists():
            call([str(self.harness / "sign_zone.sh"), str(self.data)], timeout=self.timeout)
        try:
            said = call(
                [str(script), str(self.folder), str(self.port), str(self.data)],
                timeout=self.timeout, env=env | self.env, cwd=self.folder,
            )  # fmt: skip
        except CannotMeasure:
            self.stop()
            raise
        return {name: float(value) for name, value in _SECONDS.findall(said)}

    def stop(self) -> None:
        """End it, if it runs, by the pid in its folder; by force where it does not end."""
        if not self.pid_file.exists():
            return
        for pid in self.pids:
            if str(self.folder) not in processes.title(pid) + _environment(pid) and not _is_below(pid, self.folder):
                continue  # somebody else's by now
            everybody = processes.tree([pid])
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + STOPPING
            while _alive(pid) and time.monotonic() < end:
                time.sleep(0.05)
            if _alive(pid):
                for one in everybody:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(one, signal.SIGKILL)
        self.pid_file.unlink()


def _environment(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (processes.PROC / str(pid) / "environ").read_bytes().decode(errors="replace")
    return ""


def _is_below(pid: int, folder: Path) -> bool:
    """Tell whether the process works in *folder*."""
    with contextlib.suppress(OSError):
        return (processes.PROC / str(pid) / "cwd").readlink().is_relative_to(folder)
    return False


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return (processes.PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False
