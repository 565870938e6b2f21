"""What `ddns serve` runs on: its database, its key files, and what each child is told.

Only the supervisor's process holds this. The embedded Postgres is its direct child; each program below it
gets a DSN of its own role and nothing more.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from ddns import schema
from ddns.auth.budget import BudgetLimits
from ddns.database import default_state, secrets_key
from ddns.net.tcp import TcpLimits
from ddns.net.updates import UpdateLimits
from ddns.postgres import OWNER, LocalPostgres
from ddns.settings import Settings
from ddns.worker import WorkerConfig
from ddns.zone.limits import Limits


class Service:
    """The database and folders of one `ddns serve`; a context manager, on the main thread."""

    def __init__(self, settings: Settings, dsn: str | None, state: Path | None) -> None:
        self._settings = settings
        self._dsn = dsn or os.environ.get("DDNS_DSN") or settings.database.dsn or None
        self.state = (state or _configured(settings) or default_state()).absolute()
        self.postgres: LocalPostgres | None = None

    def __enter__(self) -> Service:
        self.state.mkdir(mode=0o711, parents=True, exist_ok=True)
        if self._dsn is None:
            self.postgres = LocalPostgres(self.state).start()
        try:
            schema.upgrade(self._dsn or self.dsn(OWNER))
            run = self.state / "run"
            run.mkdir(mode=0o700, exist_ok=True)
            self._secrets = secrets_key(self.state)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.postgres is not None:
            self.postgres.stop()

    def dsn(self, role: str) -> str:
        """Return the DSN with which a program of *role* connects."""
        if self._dsn is not None:
            return self._dsn
        assert self.postgres is not None
        return self.postgres.dsn(role)

    @property
    def signer_socket(self) -> Path:
        """Return where the signer listens."""
        configured = self._settings.signer.socket
        return Path(configured) if configured else self.state / "run" / "signer.sock"

    def signer_command(self) -> list[str]:
        """Return the words that run the signer; its DSN goes by the environment, where other users cannot read it."""
        return [
            "run", "--socket", str(self.signer_socket), "--master-key", str(self.state / "signer.key"),
        ]  # fmt: skip

    def worker_config(self, sockets: list[int]) -> WorkerConfig:
        """Return what a worker with these inherited *sockets* is told."""
        chosen = self._settings
        update, sig0 = chosen.update, chosen.sig0
        return WorkerConfig(
            dsn=self.dsn("ddns_server"),
            sockets=sockets,
            secrets=str(self._secrets),
            signer=str(self.signer_socket),
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
        )


def _configured(settings: Settings) -> Path | None:
    folder = os.environ.get("DDNS_STATE") or settings.database.state
    return Path(folder) if folder else None
