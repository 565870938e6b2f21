"""What `ddns serve` tells the programs that it runs: each gets a DSN of its own role and nothing more."""

from __future__ import annotations

from pathlib import Path

from ddns.auth.budget import BudgetLimits
from ddns.database import SECRETS_KEY, Database, secrets_key
from ddns.net import edns
from ddns.net.tcp import TcpLimits
from ddns.net.updates import UpdateLimits
from ddns.settings import Settings
from ddns.worker import WorkerConfig
from ddns.zone.limits import Limits


class Service:
    """What the programs below one `ddns serve` are told."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
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
        ]  # fmt: skip

    def worker_config(self, sockets: list[int]) -> WorkerConfig:
        """Return what a worker with these inherited *sockets* is told."""
        chosen = self._settings
        update, sig0 = chosen.update, chosen.sig0
        return WorkerConfig(
            dsn=self.dsn("ddns_server"),
            sockets=sockets,
            secrets=str(self._database.state / SECRETS_KEY),
            signer=str(self.signer_socket),
            name=chosen.serve.name,
            signer_wait=chosen.signer.wait,
            warm=chosen.cache.zones,
            table_entries=chosen.cache.answers,
            tcp=TcpLimits(chosen.tcp.clients, chosen.tcp.per_client, chosen.tcp.in_flight, chosen.tcp.idle),
            limits=Limits(
                records_per_update=update.records_per_update,
                records_per_rrset=update.records_per_rrset,
                octets_per_rrset=update.octets_per_rrset,
                types_per_name=update.types_per_name,
                ttl=update.ttl,
            ),
            updates=UpdateLimits(
                waiting=update.waiting,
                at_once=update.at_once,
                lookups=update.lookups,
                keys=update.keys,
                sig0_window=sig0.window,
                allow_sha1=chosen.tsig.allow_sha1,
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
            edns=edns.configure(chosen.edns, chosen.tcp.idle),
        )
