"""What `ddns serve` tells the programs that it runs: each gets a DSN of its own role and nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ddns.answer.rrl import RrlLimits
from ddns.auth.budget import BudgetLimits
from ddns.database import SECRETS_KEY, Database, secrets_key
from ddns.delegate.limits import DelegationLimits, from_settings
from ddns.desk import DeskConfig
from ddns.net import certificate, edns
from ddns.net.admission import AdmissionLimits
from ddns.net.batches import UpdateLimits
from ddns.net.connections import ConnectionLimits
from ddns.net.denials import DenialLimits
from ddns.net.encrypted import CertificateFiles, Inherited
from ddns.net.expiry import ExpiryLimits
from ddns.net.pins import Publishing
from ddns.net.refusals import JournalBounds
from ddns.settings import DNS_PORT, Settings
from ddns.transfers.limits import TransferLimits
from ddns.watch.limits import WatchLimits
from ddns.web.making_queue import GatherLimits
from ddns.web.rations import RationLimits
from ddns.web.routes import Place
from ddns.web.serving import Bounds
from ddns.web.verifying import VerifyLimits
from ddns.worker import WorkerConfig
from ddns.zone.dane import Rule
from ddns.zone.lease import Terms
from ddns.zone.limits import Limits

DESK = ("web", "devices")  # the kinds of socket that the desk has


class Service:
    """What the programs below one `ddns serve` are told."""

    def __init__(self, settings: Settings, database: Database, listen: Mapping[str, Sequence[tuple[str, int]]]) -> None:
        self._settings = settings
        self._listen = listen
        self._database = database
        state = database.state
        state.mkdir(mode=0o711, parents=True, exist_ok=True)
        (state / "run").mkdir(mode=0o700, exist_ok=True)
        secrets_key(state)

    def dsn(self, role: str) -> str:
        """Return the DSN with which a program of *role* connects."""
        return self._database.dsn_for(role)

    @property
    def signer_socket(self) -> Path:
        """Return where the signer listens."""
        configured = self._settings.signer.socket
        return Path(configured) if configured else self._database.state / "run" / "signer.sock"

    def signer_command(self) -> list[str]:
        """Return the words that run the signer; its DSN goes by the environment, where other users cannot read it."""
        return [
            "run", "--socket", str(self.signer_socket), "--master-key", str(self._database.state / "signer.key"),
            "--editions", str(self._settings.transfer.editions), "--keys", str(self._settings.signer.keys),
            *self._leaving(),
        ]  # fmt: skip

    def _leaving(self) -> list[str]:
        """Return how long what a home's way out and back waits for takes, as the signer's options."""
        chosen = self._settings.delegation
        return [
            "--safety", str(chosen.safety), "--dark-after", str(chosen.dark_after),
            "--back-after", str(chosen.back_after), "--look", str(chosen.look),
        ]  # fmt: skip

    @property
    def tls_name(self) -> str:
        """Return the name of this server that its TLSA records stand below; empty: none are published."""
        return self._settings.tls.name or self._settings.serve.name

    def certificate_files(self) -> CertificateFiles | None:
        """Return where the certificate is, after it has been made where none is configured; None: nobody needs one.

        Raises `certificate.BadCertificate`.
        """
        tls = self._settings.tls
        if not any(self._listen.get(kind) for kind in ("tls", "https", "quic", *DESK)):
            return None
        if tls.certificate:
            files = Path(tls.certificate), Path(tls.key)
        else:
            files = certificate.make(self._database.state / "tls", self.tls_name)
        certificate.load(*files)  # refuse to start rather than find out in a worker
        return CertificateFiles(str(files[0]), str(files[1]), tls.roll if self.tls_name else 0.0)

    def publishing(self) -> Publishing | None:
        """Return which TLSA records are to be kept; None: the server has no name, or nothing to publish."""
        chosen = self._settings
        services = {
            (table.port or port, protocol)
            for kind, table, protocol in (
                ("tls", chosen.tls, "tcp"), ("https", chosen.https, "tcp"), ("quic", chosen.quic, "udp"),
                ("web", chosen.web, "tcp"),
            )
            for _host, port in self._listen.get(kind, ())
        }  # fmt: skip
        name = self.tls_name
        if not name or not services:
            return None
        folder = self._database.state / "tls"
        folder.mkdir(mode=0o700, exist_ok=True)
        return Publishing(name, tuple(sorted(services)), str(folder / "published.json"))

    def worker_config(self, sockets: Sequence[Inherited], number: int) -> WorkerConfig:
        """Return what worker *number*, from 1, with these inherited *sockets* is told."""
        chosen = self._settings
        update, flood, sig0, lease = chosen.update, chosen.flood, chosen.sig0, chosen.lease
        return WorkerConfig(
            dsn=self.dsn("ddns_server"),
            sockets=list(sockets),
            secrets=str(self._database.state / SECRETS_KEY),
            signer=str(self.signer_socket),
            name=chosen.serve.name,
            first=number == 1,
            signer_wait=chosen.signer.wait,
            denials=self._denials(),
            warm=chosen.cache.zones,
            table_entries=chosen.cache.answers,
            memory=chosen.cache.memory_mib * 1024 * 1024,
            connections=self._connections(),
            certificate=self.certificate_files(),
            publishing=self.publishing() if number == 1 else None,
            transfers=self._transfers(),
            watch=self._watch(),
            delegation=self._delegation(),
            expiry=ExpiryLimits(grace=lease.grace, longest=lease.maximum),
            limits=Limits(
                records_per_update=update.records_per_update,
                records_per_rrset=update.records_per_rrset,
                octets_per_rrset=update.octets_per_rrset,
                types_per_name=update.types_per_name,
                ttl=update.ttl,
            ),
            refusals=JournalBounds(
                chosen.refusals.keep,
                chosen.refusals.days,
                chosen.refusals.octets,
                chosen.refusals.rate,
                chosen.refusals.strangers,
            ),
            updates=UpdateLimits(
                encrypted=update.transport == "encrypted",
                waiting=update.waiting,
                per_key=update.per_key,
                at_once=update.at_once,
                lookups=update.lookups,
                keys=update.keys,
                sig0_window=sig0.window,
                allow_sha1=chosen.tsig.allow_sha1,
                terms=Terms(
                    minimum=lease.minimum,
                    default=lease.default,
                    maximum=lease.maximum,
                    key_minimum=lease.key_minimum,
                    key_default=lease.key_default,
                    key_maximum=lease.key_maximum,
                ),
                rule=Rule(chosen.dane.strict, frozenset(chosen.dane.usages)),
                budget=BudgetLimits(
                    source_burst=sig0.source_burst,
                    source_rate=sig0.source_rate,
                    key_burst=sig0.key_burst,
                    key_rate=sig0.key_rate,
                    worker_burst=sig0.worker_burst,
                    worker_rate=sig0.worker_rate,
                    known_for=sig0.known_for,
                    purses=sig0.purses,
                ),
            ),
            admission=AdmissionLimits(
                waiting=flood.waiting,
                per_source=flood.per_source,
                share=flood.strangers,
                known=flood.known,
                known_for=sig0.known_for,
                doubts=flood.doubts,
            ),
            rrl=RrlLimits(**msgspec.structs.asdict(chosen.rrl)),
            edns=edns.configure(chosen.edns, chosen.tcp.idle),
        )

    def desk_config(self, sockets: Sequence[Inherited]) -> DeskConfig:
        """Return what the desk with these inherited *sockets* is told. Raises `certificate.BadCertificate`."""
        chosen, enrol = self._settings.web, self._settings.enrol
        files = self.certificate_files()
        assert files is not None  # who has sockets for the desk has a certificate
        return DeskConfig(
            dsn=self.dsn("ddns_web"),
            sockets=list(sockets),
            secrets=str(self._database.state / SECRETS_KEY),
            signer=str(self.signer_socket),
            certificate=files,
            signer_wait=self._settings.signer.wait,
            connections=self._connections(),
            rations=RationLimits(chosen.source_burst, chosen.source_rate, chosen.token_burst, chosen.token_rate),
            bounds=Bounds(chosen.waiting, chosen.seconds),
            verifying=VerifyLimits(chosen.strangers),
            gathering=GatherLimits(enrol.at_once, enrol.gather_ms / 1000, enrol.waiting, chosen.seconds / 2),
            private=chosen.private,
            page=chosen.page,
            place=self._place(),
        )

    def _place(self) -> Place:
        chosen = self._settings
        port = {kind: next((port for _host, port in self._listen.get(kind, ())), 0) for kind in ("dns", "tls", "web")}
        return Place(
            name=self.tls_name.rstrip("."),
            dns=port["dns"],
            tls=port["tls"] and (chosen.tls.port or port["tls"]),
            web=port["web"] and (chosen.web.port or port["web"]),
        )

    def _connections(self) -> ConnectionLimits:
        tcp, tls = self._settings.tcp, self._settings.tls
        return ConnectionLimits(
            clients=tcp.clients,
            per_client=tcp.per_client,
            in_flight=tcp.in_flight,
            idle=tcp.idle,
            message=tcp.message,
            unread=tcp.unread,
            handshake=tls.handshake,
            handshakes=tls.handshakes,
            held=tcp.held_mib * 1024 * 1024,
        )

    def _watch(self) -> WatchLimits:
        return WatchLimits(
            **msgspec.structs.asdict(self._settings.watch),
            name=self._settings.serve.name,
            ours=tuple(self._listen.get("dns", ())),
        )

    def _delegation(self) -> DelegationLimits:
        ports = [port for _host, port in self._listen.get("dns", ())]
        return from_settings(self._settings, DNS_PORT if DNS_PORT in ports or not ports else ports[0])

    def _denials(self) -> DenialLimits:
        chosen = self._settings.compact
        return DenialLimits(chosen.rate, chosen.each, chosen.waiting, chosen.wait, chosen.memory_mib * 1024 * 1024)

    def _transfers(self) -> TransferLimits:
        chosen = self._settings.transfer
        return TransferLimits(
            at_once=chosen.at_once,
            seconds=chosen.seconds,
            stall=chosen.stall,
            history=chosen.history,
            delta=chosen.delta,
            ratio=chosen.ratio,
            tries=chosen.tries,
            wait=chosen.wait,
            notify_from=chosen.notify_from,
        )
