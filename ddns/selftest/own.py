"""Our own agent as the box: the commands that a box of ours runs, as processes, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ddns.demo.screen import Broken
from ddns.gateway import enrolling
from ddns.gateway.outcome import Status
from ddns.program import program

PATIENCE = 300  # seconds for an enrolment
LONGEST = 600.0  # seconds for one command
STARTS = 10  # of an enrolment: a unit of systemd starts it again, as ship-a-gateway.md has it
TRIES = 20  # to publish something: a worker of the registry may not have heard of the key yet
PAUSE = 1.0  # seconds between two of these
FOR_GOOD = frozenset({Status.USAGE, Status.REFUSED, Status.KEY})  # RestartPreventExitStatus there
ADDRESS, OTHER_ADDRESS = "2001:db8::7", "2001:db8::8"


class OwnBox:
    """A gateway in *folder*, which waits for phones at *door*."""

    def __init__(self, folder: Path, door: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._folder = folder
        self.door = door

    def deed(self, method: str, step: str, words: dict[str, str]) -> Callable[[], None]:
        """Return what the box does in a step of a method, which raises `Broken` where it cannot."""
        deeds: dict[tuple[str, str], Callable[[], None]] = {
            ("invitation", "enrol"): lambda: self._enrol(words["first"], "--https"),
            ("invitation", "publish"): lambda: self._publish(ADDRESS),
            ("invitation", "roll"): self._roll,
            ("invitation", "reset"): lambda: self._anew(words["second"]),
            ("owner", "enrol"): lambda: self._owned(
                words["handed_first"], "enrol", words["first"], "--owner", words["owner_file"]
            ),
            ("owner", "publish"): lambda: self._publish(ADDRESS),
            ("owner", "reset"): lambda: self._again(words["handed_second"]),
            ("voucher", "enrol"): lambda: self._come(words),
            ("qr", "enrol"): self._pair,
            ("qr", "publish"): lambda: self._publish(ADDRESS),
            ("qr", "reset"): lambda: self._again(words["handed_second"]),
            ("voucher", "publish"): lambda: self._publish(ADDRESS),
            ("voucher", "reset"): lambda: self._come_again(words),
        }
        return deeds[method, step]

    def _enrol(self, *words: str) -> None:
        """Enrol, and start again where that helps."""
        status = self._run("enrol", *words, "--wait", str(PATIENCE))
        for _ in range(STARTS):
            if status in (Status.DONE, *FOR_GOOD):
                break
            status = self._run("enrol", "--wait", str(PATIENCE))

    def _come(self, words: dict[str, str]) -> None:
        """Enrol with the maker's certificate; who was brought a bad voucher starts all over."""
        said = ("--brski", words["url"], "--idevid", words["idevid"], words["idevid_key"], "--anchor", words["anchor"])
        for _ in range(STARTS):
            if self._run("enrol", *said, "--wait", str(PATIENCE)) in (Status.DONE, *FOR_GOOD):
                return

    def _come_again(self, words: dict[str, str]) -> None:
        self._run("reset", "--forget")
        self._come(words)

    def _publish(self, address: str) -> None:
        for _ in range(TRIES):
            if self._run("publish", "cam", "--address", address) == Status.DONE:
                return
            time.sleep(PAUSE)

    def _roll(self) -> None:
        self._run("key", "roll")
        self._publish(OTHER_ADDRESS)

    def _anew(self, line: str) -> None:
        self._run("reset", "--forget")
        self._enrol(line, "--https")

    def _owned(self, handed: str, *words: str) -> None:
        """Ask for what the owner has to sign, hand it over, and go on."""
        self._run(*words, "--wait", "1")
        request = self._folder / enrolling.REQUEST
        if not request.exists():
            raise Broken("Our own gateway has nothing for its owner's phone.")
        shutil.copyfile(request, f"{handed}.new")
        Path(f"{handed}.new").rename(handed)  # whole, or not there
        self._run("enrol", "--wait", str(PATIENCE))

    def _again(self, handed: str) -> None:
        self._run("reset")
        self._owned(handed, "replace")

    def code(self) -> str:
        """Return what is printed on the box; its key is made. Raises `Broken`."""
        return self._done("qr").stdout.decode().strip()

    def _pair(self) -> None:
        self._run("pair", "--listen", f"{self.door[0]}:{self.door[1]}", "--wait", str(PATIENCE))

    def _run(self, *words: str) -> int:
        """Run a command of the gateway, and return its exit status. Raises `Broken` where it does not end."""
        return self._done(*words).returncode

    def _done(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DDNS_")}
        command = program("ddns.cli", "gateway", *words, "--home", str(self._folder))
        try:
            return subprocess.run(  # noqa: S603 - our own program
                command, env=kept, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST, check=False
            )
        except subprocess.TimeoutExpired:
            raise Broken(f"`ddns gateway {words[0]}` did not end within {LONGEST:.0f} s.") from None
