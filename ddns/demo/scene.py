"""What every chapter of the longer story has at hand: the screen, the desk, and a stranger's way to check."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from ddns.demo.household import Desk
from ddns.demo.screen import Broken, Screen, Step
from ddns.gateway.outcome import Status
from ddns.verifier import chain
from ddns.verifier.chain import Anchor, Proof, Server

VISIBLE_TIMEOUT = 60.0  # seconds
SEEN = "2001:db8::7"  # an address that a camera has


class Scene:
    """A registry of *desk* whose DS is *anchor*; *program* is how the person calls our command."""

    def __init__(self, screen: Screen, desk: Desk, program: str, anchor: Anchor) -> None:
        self.desk = desk
        self._screen = screen
        self._program = program
        self._anchor = anchor
        self._server = Server("127.0.0.1", desk.port)

    def chapter(self, text: str) -> None:
        """Head a group of steps."""
        self._screen.chapter(text)

    def step(self, doing: str) -> AbstractContextManager[Step]:
        """Show *doing* while a step is done."""
        return self._screen.step(doing)

    def prove(self, name: str, rdtype: str) -> Proof:
        """Return what validates from the registry's DS down. Raises `Broken`."""
        self.desk.check()
        verdict = chain.validate(self._server, self._anchor, name, rdtype)
        if not isinstance(verdict, Proof):
            raise Broken(verdict.sentence)
        return verdict

    def has(self, name: str, rdtype: str, value: str) -> None:
        """See that a validated set holds *value*. Raises `Broken`."""
        if value not in [str(one) for one in self.prove(name, rdtype).rrset]:
            raise Broken(f"{name} has not the {rdtype} {value}.")

    def until(self, look: Callable[[], object]) -> None:
        """Look again until what was done is visible: workers and desk hear of it in a moment. Raises `Broken`."""
        end = time.monotonic() + VISIBLE_TIMEOUT
        while time.monotonic() < end:
            with contextlib.suppress(Broken):
                look()
                return
            time.sleep(0.05)
        look()

    def events(self, home: str) -> list[str]:
        """Return what has happened to *home*, the oldest first. Raises `Broken`."""
        return [one["event"] for one in json.loads(self.desk.ddns("home", "history", home, "--json"))]

    def happened(self, home: str, event: str) -> None:
        """See that *event* has happened to *home*. Raises `Broken`."""
        if event not in self.events(home):
            raise Broken(f"{home} has no {event} in its history.")

    # -- lines to paste ---------------------------------------------------------------------------------------

    def dig(self, what: str) -> str:
        """Return a question to the registry."""
        return f"dig @127.0.0.1 -p {self.desk.port} +norec {what}"

    def command(self, *words: str) -> str:
        """Return a command of ours on the registry's database."""
        return f"DDNS_STATE={self.desk.state} \\\n  {self._program} {' '.join(words)}"

    def curl(self, path: str, *options: str) -> str:
        """Return a question to the desk."""
        options = (
            *options, f"--cacert {self.desk.certificate}", f"--resolve {self.desk.name}:{self.desk.web}:127.0.0.1",
            f"https://{self.desk.name}:{self.desk.web}{path}",
        )  # fmt: skip
        return " \\\n  ".join(("curl -sS", *options))


def refused(done: subprocess.CompletedProcess[str], wrong: str) -> str:
    """Return why the registry refused what somebody tried. Raises `Broken` with *wrong* where it did not."""
    if done.returncode not in (Status.REFUSED, Status.KEY, Status.LATER):
        raise Broken(f"{wrong} {(done.stderr or done.stdout).strip()}")
    last = (done.stderr.strip().splitlines() or ["it said nothing."])[-1].removeprefix("ddns: ")
    return re.sub(r"^(The registry (refused it|cannot do it now; try again later)\. )| \[[a-z0-9-]+\]$", "", last)
