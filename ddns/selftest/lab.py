"""The lab: a registry of its own, what stands before it, the invitations for a box, and its owner's phone."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from ddns.demo.registry import Registry, free_port
from ddns.demo.screen import Broken
from ddns.dns import names
from ddns.gateway import desk, phone
from ddns.gateway.desk import Said
from ddns.gateway.invitation import Invitation
from ddns.gateway.phone import BadPhone
from ddns.net import certificate
from ddns.proof import jwk
from ddns.proof.bad import BadProof
from ddns.selftest.desk import DeskDoor
from ddns.selftest.name_server import NameServer
from ddns.selftest.playing import Play
from ddns.selftest.transcript import Given, Handed, Invited, Recorder

ZONE = "homes.example."
NAME = "ns.homes.example"
_ZONE_FILE = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 300\n@ NS ns\nns {kind} {address}\n"
_SETTINGS = '[serve]\nname = "{name}"\n[web]\nport = {port}\nsource_rate = 1000\nsource_burst = 1000\n'
_READY = 60.0  # seconds for the registry to publish its own keys


class Lab:
    """A registry, and what stands before it at the address *host*; a context manager that leaves nothing behind."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.play = Play()
        self.recorder = Recorder(Given(method="", zone=names.from_text(ZONE), web=(NAME, 0)))
        self.words: dict[str, str] = {}
        self._stack = contextlib.ExitStack()
        self._handed: dict[Path, bool] = {}

    def __enter__(self) -> Self:
        """Start everything. Raises `Broken`, and `OSError` where *host* is no address of this machine."""
        with contextlib.ExitStack() as opening:
            self._web = free_port(["127.0.0.1"])
            self._door = opening.enter_context(DeskDoor(self.host, self._web, self.recorder, self.play))
            self._registry = opening.enter_context(Registry(easy=False))
            self._start_registry()
            behind = ("127.0.0.1", self._registry.port)
            self._names = opening.enter_context(NameServer(self.host, behind, self.recorder, self.play))
            mine = certificate.make(self._registry.state / "tls", NAME)
            strange = certificate.make(self._registry.folder / "stranger", NAME)
            opening.enter_context(self._door.opened(mine, strange))
            self.folder = self._registry.folder
            self._owner = phone.make(self.folder / "phone", "owner", "P-256")
            self._desk = desk.believing("127.0.0.1", self._web, NAME, desk.read_cafile(mine[0]))
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def begin(self, method: str) -> Recorder:
        """Make what a box is given for *method*, and write down anew from now on. Raises `Broken`."""
        lines = [self._invite(f"{method}-{place}") for place in ("one", "two")]
        read = [Invitation.from_text(line) for line in lines]
        given = Given(
            method=method,
            zone=names.from_text(ZONE),
            web=(NAME, self._door.server_port),
            invited=tuple(Invited(one.key, one.secret, one.home) for one in read),
            owner=jwk.kid(jwk.of(self._owner)) if method == "owner" else "",
        )
        owner = self.folder / "phone" / "owner.jwk"
        handed = [self.folder / f"request-{place}.jws" for place in ("one", "two")]
        self._handed = dict.fromkeys(handed, False)
        self.words = {
            "first": lines[0],
            "first_link": read[0].to_link(),
            "second": lines[1],
            "second_link": read[1].to_link(),
            "owner": owner.read_text().strip(),
            "owner_file": str(owner),
            "handed_first": str(handed[0]),
            "handed_second": str(handed[1]),
        }
        self.recorder = self._door.recorder = self._names.recorder = Recorder(given)
        return self.recorder

    def look(self) -> None:
        """Sign and post what was put down for the owner's phone. Raises `Broken` where the registry has ended."""
        self._registry.check()
        for path, taken in self._handed.items():
            if taken or not path.exists():
                continue
            try:
                octets, _ = phone.read_request(path)
            except BadPhone:
                octets = path.read_bytes()[: phone.MOST]
                if not octets.endswith(b"\n"):
                    continue  # it is still being written
            self._handed[path] = True
            self._accept(octets)

    def _accept(self, octets: bytes) -> None:
        """Put the owner's signature beside what the box has signed, and post both."""
        recorder = self.recorder
        at, now, step = recorder.at, int(time.time()), recorder.step
        try:
            said = phone.post(self._desk, phone.beside(octets, self._owner))
            status = said.status if isinstance(said, Said) else 0
        except BadProof:
            status = 0
        recorder.add(Handed(at=at, now=now, step=step, until=recorder.at, body=octets, status=status))

    def _start_registry(self) -> None:
        registry = self._registry
        settings = registry.folder / "ddns.toml"
        settings.write_text(_SETTINGS.format(name=NAME, port=self._door.server_port))
        registry.start("--config", str(settings), "--web", f"127.0.0.1:{self._web}")
        file = registry.folder / "zone"
        kind = "AAAA" if ipaddress.ip_address(self.host).version == 6 else "A"
        file.write_text(_ZONE_FILE.format(kind=kind, address=self.host))
        registry.ddns("zone", "import", str(file), "--origin", ZONE)
        question = dns.message.make_query(f"_{self._door.server_port}._tcp.{NAME}", "TLSA")
        end = time.monotonic() + _READY
        while time.monotonic() < end:
            with contextlib.suppress(OSError, dns.exception.DNSException):
                if dns.query.udp(question, "127.0.0.1", timeout=1, port=registry.port).answer:
                    return
            time.sleep(0.05)
        raise Broken("The registry does not publish the key of its desk.")

    def _invite(self, label: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        said = self._registry.ddns(
            "home", "invite", label, "--server", f"{host}:{self._names.port}", "--web",
            f"{NAME}:{self._door.server_port}", "--json",
        )  # fmt: skip
        line: str = json.loads(said)["invitation"]
        return line
