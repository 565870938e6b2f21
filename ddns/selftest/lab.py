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
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.auth import keyfile
from ddns.demo.registry import Registry, free_port
from ddns.demo.screen import Broken
from ddns.dns import names
from ddns.gateway import desk, phone
from ddns.gateway.desk import Said
from ddns.gateway.invitation import Invitation
from ddns.gateway.pairing import Enrolled
from ddns.gateway.phone import BadPhone
from ddns.net import certificate
from ddns.proof import dpp, jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk
from ddns.selftest.desk import DeskDoor
from ddns.selftest.name_server import NameServer
from ddns.selftest.playing import Play
from ddns.selftest.registrar import Maker, RegistrarDoor
from ddns.selftest.scanner import Scanner
from ddns.selftest.transcript import Given, Handed, Invited, Recorder

ZONE = "homes.example."
NAME = "ns.homes.example"
SERIAL = "SELFTEST-1"
_ZONE_FILE = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 300\n@ NS ns\nns {kind} {address}\n"
_SETTINGS = '[serve]\nname = "{name}"\n[web]\nport = {port}\nsource_rate = 1000\nsource_burst = 1000\n'
_SETTLED = 2.0  # seconds after which a file is taken for whole
_READY = 180.0  # seconds for the registry to publish its own keys


class Lab:
    """A registry, and what stands before it at the address *host*; a context manager that leaves nothing behind."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.play = Play()
        self.recorder = Recorder(Given(method="", zone=names.from_text(ZONE), web=(NAME, 0)))
        self.words: dict[str, str] = {}
        self._stack = contextlib.ExitStack()
        self._handed: dict[Path, bool] = {}
        self._homes = 0
        self._scanner: Scanner | None = None
        self.scanned: tuple[str, tuple[str, int]] | None = None  # the code on the box, and where the box is
        self.kept_log: Path | None = None  # where the registry's log stays after a failure

    def __enter__(self) -> Self:
        """Start everything. Raises `Broken`, and `OSError` where *host* is no address of this machine."""
        with contextlib.ExitStack() as opening:
            self._web = free_port(["127.0.0.1"])
            self._door = opening.enter_context(DeskDoor(self.host, self._web, self.recorder, self.play))
            self._registry = opening.enter_context(Registry(easy=False))
            self.kept_log = self._registry.kept_log
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
        if method == "voucher":
            return self._begin_voucher()
        if method == "qr":
            return self._begin_code()
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

    def _begin_voucher(self) -> Recorder:
        """Make a maker and a box of it, and a registrar that knows both. Raises `Broken`."""
        folder = self.folder / "maker"
        self._registry.ddns("masa", "init", str(folder), "--name", "Selftest")
        self._registry.ddns("masa", "device", "add", str(folder), SERIAL)
        pem, key = (folder / "boxes" / f"{SERIAL}.{end}" for end in ("pem", "key"))
        door = self._stack.enter_context(RegistrarDoor(self.host, NAME, self.recorder, self.play))
        update = {"name": NAME, "dns": self._names.port, "tls": 0, "web": 0}
        place = {"registry": ZONE, "servers": [f"{NAME}."], "assurance": "voucher", "update": update}
        self._stack.enter_context(door.opened(Maker(folder, SERIAL), self.folder, self._make_home, place))
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.words = {
            "url": f"https://{host}:{door.server_port}",
            "idevid": str(pem),
            "idevid_key": str(key),
            "anchor": str(folder / "masa.pem"),
        }
        given = Given(
            method="voucher",
            zone=names.from_text(ZONE),
            web=(NAME, door.server_port),
            idevid=x509.load_pem_x509_certificate(pem.read_bytes()).public_bytes(Encoding.DER),
            registrar=door.mine.certificate.public_bytes(Encoding.DER),
        )
        self.recorder = door.recorder = self._names.recorder = Recorder(given)
        return self.recorder

    def _begin_code(self) -> Recorder:
        """Send the owner's phone to the box with the code. Raises `Broken`."""
        if self.scanned is None:
            raise Broken("There is no code to scan.")
        code, box = self.scanned
        self._registry.ddns("policy", "set", ZONE, "methods=invitation,qr")
        label = "qr-one"
        try:
            printed = jwk.kid(jwk.of(dpp.read(code).public_key))
            self._scanner = Scanner(code, box, self._owner, self._desk, ZONE, label, self._place)
        except BadProof as error:
            raise Broken(error.sentence) from None
        second = self.folder / "request-code.jws"
        self._handed = {second: False}
        self.words = {"box": f"{box[0]} port {box[1]}", "handed_second": str(second)}
        given = Given(
            method="qr", zone=names.from_text(ZONE), web=(NAME, self._door.server_port),
            owner=jwk.kid(jwk.of(self._owner)), printed=printed, label=label,
        )  # fmt: skip
        self.recorder = self._door.recorder = self._names.recorder = Recorder(given)
        return self.recorder

    def _place(self, said: Said) -> Enrolled:
        """Return what a box is told that got its home by a phone: the registry as it is seen from there."""
        return Enrolled(
            home=str(said.members.get("home", "")), registry=ZONE, host=self.host, port=self._names.port, name=NAME,
            web=self._door.server_port, pins=self._desk.pins, cafile=self._desk.cafile,
        )  # fmt: skip

    def _make_home(self, key: PublicJwk) -> str:
        """Make a home for *key*, wait until it is served, and return its name. Raises `Broken`."""
        self._homes += 1
        home = f"voucher-{self._homes}.{ZONE}"
        file = self.folder / f"{home}key"
        file.write_text(keyfile.public_text(names.from_text(home), jwk.to_key_rdata(key)))
        self._registry.ddns("home", "add", home, "--sig0", str(file))
        self._until_there(home, "KEY", f"The registry does not serve {home}")
        return home

    def _until_there(self, name: str, rdtype: str, otherwise: str) -> None:
        """Wait until the registry has records of *rdtype* at *name*. Raises `Broken`."""
        question = dns.message.make_query(name, rdtype)
        end = time.monotonic() + _READY
        while time.monotonic() < end:
            with contextlib.suppress(OSError, dns.exception.DNSException):
                if dns.query.udp(question, "127.0.0.1", timeout=1, port=self._registry.port).answer:
                    return
            time.sleep(0.05)
        raise Broken(f"{otherwise} within {_READY:.0f} s.")

    def look(self) -> None:
        """Sign and post what was put down for the owner's phone. Raises `Broken` where the registry has ended."""
        self._registry.check()
        if self._scanner is not None:
            self._scanner.look(self.recorder)
        for path, taken in self._handed.items():
            if taken or not path.exists():
                continue
            try:
                octets, _ = phone.read_request(path)
            except BadPhone:
                if time.time() - path.stat().st_mtime < _SETTLED:
                    continue  # it may still be being written
                with path.open("rb") as file:
                    octets = file.read(phone.MOST)
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
        registry.start("--config", str(settings), "--workers", "1", "--web", f"127.0.0.1:{self._web}")
        file = registry.folder / "zone"
        kind = "AAAA" if ipaddress.ip_address(self.host).version == 6 else "A"
        file.write_text(_ZONE_FILE.format(kind=kind, address=self.host))
        registry.ddns("zone", "import", str(file), "--origin", ZONE)
        tlsa = f"_{self._door.server_port}._tcp.{NAME}"
        self._until_there(tlsa, "TLSA", "The registry does not publish the key of its desk")

    def _invite(self, label: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        said = self._registry.ddns(
            "home", "invite", label, "--server", f"{host}:{self._names.port}", "--web",
            f"{NAME}:{self._door.server_port}", "--json",
        )  # fmt: skip
        line: str = json.loads(said)["invitation"]
        return line
