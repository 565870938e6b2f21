"""A registry with a desk, and the people and boxes of the longer story: each has a folder, and uses our commands."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

from ddns.demo.registry import Registry, end_process
from ddns.demo.screen import Broken
from ddns.program import program

NAME = "ns.homes.example"  # what the server calls itself, and its desk
SETTINGS = f'[serve]\nname = "{NAME}"\n[web]\nprivate = true\n'
DAY = 86_400  # seconds
PATIENCE = 60.0  # seconds for a box to wait for a phone, and for the desk to answer first
_THUMBPRINT = re.compile(r"--key (\S{43})")


class Desk(Registry):
    """A registry that takes statements over HTTPS, too; *web* and *devices* are its ports.

    The desk is a process of its own, whose clock the story may set ahead.
    """

    name = NAME

    def __init__(self) -> None:
        super().__init__()
        self.web, self.devices = free_port(), free_port()
        self._ahead = 0  # seconds
        self._desk: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start the service and its desk, and wait until both answer. Raises `Broken`."""
        self._settings.write_text(SETTINGS)
        desk = ("--web", f"127.0.0.1:{self.web}", "--devices", f"127.0.0.1:{self.devices}")
        super().start("--only", "dns", "--config", str(self._settings), *desk, *options)
        self._open()

    def later(self, days: int) -> None:
        """Have the desk believe that so many *days* have gone by. Raises `Broken`."""
        self._ahead += days * DAY
        self._close()
        self._open()

    def check(self) -> None:
        """See that service and desk still run. Raises `Broken`."""
        super().check()
        if self._desk is not None and self._desk.poll() is not None:
            raise Broken(f"The desk has ended: {self._last_words()}")

    def stop(self) -> None:
        """End the desk, then the service."""
        self._close()
        super().stop()

    @property
    def _settings(self) -> Path:
        return self.folder / "ddns.toml"

    def _open(self) -> None:
        words = (self.state, self._settings, self.port, self.web, self.devices, self._ahead)
        self._desk = self._leashed(program("ddns.demo.desk", *map(str, words)))
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/healthz")[0] == http.HTTPStatus.OK:
                    return
            self.check()
            if time.monotonic() > end:
                raise Broken(f"The desk did not answer within {PATIENCE:.0f} s.")
            time.sleep(0.1)

    def _close(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None:
            end_process(desk)

    @property
    def certificate(self) -> Path:
        """Return the certificate that the desk shows people."""
        return self.state / "tls" / "certificate.pem"

    @property
    def known(self) -> tuple[str, ...]:
        """Return the options by which a phone finds the desk and believes it."""
        return ("--desk", f"https://localhost:{self.web}", "--cafile", str(self.certificate))

    def ask(self, method: str, path: str, body: object = None, token: str = "") -> tuple[int, Any]:
        """Ask the desk, and return the status and what its JSON says."""
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False  # the certificate is this desk's own, and the only one believed
        connection = http.client.HTTPSConnection("127.0.0.1", self.web, timeout=PATIENCE, context=context)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        octets = None
        if body is not None:
            octets, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            connection.request(method, path, octets, headers)
            answer = connection.getresponse()
            said = answer.read()
            return answer.status, json.loads(said) if said else None
        finally:
            connection.close()


class Person:
    """An owner with a phone."""

    def __init__(self, desk: Desk, called: str) -> None:
        self._desk = desk
        self.folder = desk.folder / f"{called}-phone"
        self.ddns("make")

    def file(self, name: str) -> str:
        """Return the path of a file in the phone."""
        return str(self.folder / name)

    def ddns(self, *words: str) -> str:
        """Have the phone do something. Raises `Broken`."""
        return self._desk.ddns("phone", *words, "--phone", str(self.folder))

    def tries(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Have the phone try something, whatever comes of it."""
        return self._desk.run("phone", *words, "--phone", str(self.folder))

    def says(self, verb: str, home: str, *words: str) -> str:
        """Have the owner say something about *home*, signed. Raises `Broken`."""
        return self.ddns("say", verb, home, *words)

    def says_about_keys(self, verb: str, *words: str) -> str:
        """Have the owner say something about keys of people, signed. Raises `Broken`."""
        return self.ddns("say", verb, *words)


class Box:
    """A gateway with a code on it."""

    def __init__(self, desk: Desk, called: str) -> None:
        self._desk = desk
        self.folder = desk.folder / f"{called}-box"
        self._door: subprocess.Popen[str] | None = None
        self._port = 0

    def ddns(self, *words: str) -> str:
        """Have the gateway do something. Raises `Broken`."""
        return self._desk.ddns("gateway", *words, "--home", str(self.folder))

    def tries(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Have the gateway try something, whatever comes of it."""
        return self._desk.run("gateway", *words, "--home", str(self.folder))

    def asks(self, *words: str) -> str:
        """Have the gateway sign what its owner has to accept; return what it says. Raises `Broken`."""
        done = self.tries(*words)
        if not self.request.exists() and not _THUMBPRINT.search(done.stdout + done.stderr):
            raise Broken(f"The gateway asks for nothing: {(done.stderr or done.stdout).strip()}")
        return done.stdout + done.stderr

    @property
    def request(self) -> Path:
        """Return what a phone is handed."""
        return self.folder / "request.jws"

    @property
    def code(self) -> str:
        """Return what is printed on the box."""
        return self.ddns("qr").strip()

    def scanned_by(self, person: Person, *words: str) -> subprocess.CompletedProcess[str]:
        """Have *person* scan the code while the box waits, and accept; return how that went. Raises `Broken`."""
        code = self.code
        self._open()
        try:
            at = ("--box", f"127.0.0.1:{self._port}", "--registry", "homes.example")
            person.ddns("scan", code, *at, *self._desk.known, *words)
            done = person.tries("accept")
        finally:
            self._close(wait=False)
        return done

    def claimed_by(self, person: Person) -> subprocess.CompletedProcess[str]:
        """Have *person* claim the box by its code; return how that went. Raises `Broken`."""
        code = self.code
        self._open()
        try:
            at = ("--box", f"127.0.0.1:{self._port}", "--registry", "homes.example")
            return person.tries("claim", code, *at, *self._desk.known)
        finally:
            self._close(wait=False)

    def home_with(self, person: Person, label: str, *words: str) -> str:
        """Have *person* scan the code and accept the name *label*; return the home. Raises `Broken`."""
        code = self.code
        self._open()
        try:
            at = ("--box", f"127.0.0.1:{self._port}", "--registry", "homes.example", "--label", label)
            person.ddns("scan", code, *at, *self._desk.known, *words)
            person.ddns("accept")
            self._close(wait=True)
        finally:
            self._close(wait=False)
        return f"{label}.homes.example"

    def _open(self) -> None:
        self._port = free_port()
        words = ("gateway", "pair", "--listen", f"127.0.0.1:{self._port}", "--wait", f"{PATIENCE:.0f}")
        self._door = subprocess.Popen(  # noqa: S603 - our own program
            program("ddns.cli", *words, "--home", str(self.folder)),
            env=self._desk.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        assert self._door.stdout is not None
        said = self._door.stdout.readline()
        if "Waiting" not in said:
            self._close(wait=False)
            raise Broken(f"The box does not wait for a phone: {said.strip() or 'it said nothing.'}")

    def _close(self, *, wait: bool) -> None:
        door, self._door = self._door, None
        if door is None:
            return
        if not wait:
            door.terminate()
        with door:
            said = door.communicate()[0]
        if wait and door.returncode:
            raise Broken(f"The box got no home: {said.strip()}")


def thumbprint(said: str) -> str:
    """Return the new key's thumbprint, as a gateway says it. Raises `Broken`."""
    found = _THUMBPRINT.search(said)
    if found is None:
        raise Broken("The gateway did not say which key its owner has to approve.")
    return found[1]


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
