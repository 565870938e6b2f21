"""The desk: the composition root of the HTTPS API. It reads its configuration from stdin and serves until SIGTERM.

    python -m ddns.desk < config.json

A process of its own, in the role `ddns_web`: it parses what no name server should have in its memory, and holds no
right to a private key. The supervisor starts it with bound sockets; it says `ready` on stdout when it answers.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
from twisted.logger import Logger

from ddns.auth.sealing import Sealer
from ddns.homes import registrar
from ddns.net.connections import ConnectionLimits, Connections
from ddns.net.encrypted import CertificateFiles, Inherited
from ddns.process import reactor, run
from ddns.signing.client import SignerClient
from ddns.store.pool import Connection, Pool
from ddns.web.chores import Chores
from ddns.web.courier import Courier
from ddns.web.listening import Listening
from ddns.web.making_queue import GatherLimits, MakingQueue
from ddns.web.masa_client import MasaClient
from ddns.web.rations import RationLimits, Rations
from ddns.web.routes import Enrolments, Place, Verifies
from ddns.web.serving import Bounds, Serving
from ddns.web.table import Table, routes
from ddns.web.transacting import connection, transaction
from ddns.web.verifying import Verifying, VerifyLimits

log = Logger(namespace="ddns.desk")

ROLE = "ddns_web"
POOL = 4  # connections to the database
RECONNECT = 0.5  # seconds between two attempts to reach the database at the start
BULK_WAIT = 120.0  # seconds for the signatures of some hundred homes
LAST = 10.0  # seconds that requests under way get when the desk ends

Clock = Callable[[], float]


class DeskConfig(msgspec.Struct, frozen=True):
    """All that one desk is told. *sockets* are inherited descriptors, *secrets* is the path of `secrets.key`.

    *private*: webhooks may lie at loopback and private addresses. *page*: owners find the page that works as a phone.
    """

    dsn: str
    sockets: list[Inherited]
    secrets: str
    signer: str
    certificate: CertificateFiles
    signer_wait: float = 1.0
    connections: ConnectionLimits = ConnectionLimits()
    rations: RationLimits = RationLimits()
    bounds: Bounds = Bounds()
    gathering: GatherLimits = GatherLimits()
    verifying: VerifyLimits = VerifyLimits()
    private: bool = False
    page: bool = True
    place: Place = Place()


class Desk:
    """Everything that one desk holds, put together; handlers are given it as `ddns.web.routes.Means`."""

    def __init__(self, config: DeskConfig, clock: Clock = time.time) -> None:
        self._config = config
        self._clock = clock
        self._pool = Pool(config.dsn, ROLE, POOL)
        self.secret = Path(config.secrets).read_bytes()
        self.place = config.place
        self.masa = MasaClient(private=config.private)
        self.sealer = Sealer.from_file(Path(config.secrets))
        self.signer = SignerClient(Path(config.signer), config.signer_wait)
        self._making = MakingQueue(self, config.gathering)
        self.enrolments: Enrolments = self._making
        self.rations = Rations(config.rations, time.monotonic, secrets.token_bytes)
        self.verifying: Verifies = Verifying(config.verifying, self.rations, time.monotonic, time.thread_time)
        self._serving = Serving(Table(routes(page=config.page)), self, self.rations, config.bounds)
        self._connections = Connections(config.connections, reactor())
        self._chores = Chores(self)
        self._courier = Courier(self.transaction, self.sealer, self.now, private=config.private)
        self._tasks: list[asyncio.Task[None]] = []
        mine = registrar.of(self.secret, self.place.name)
        self._listening = Listening(config.certificate, self._serving, self._connections, mine, reactor(), clock)

    def now(self) -> int:
        """Return the seconds since 1970."""
        return int(self._clock())

    def bulk(self) -> SignerClient:
        """Return a line to the signer for work that waits behind everything else; its user closes it."""
        return SignerClient(Path(self._config.signer), BULK_WAIT, bulk=True)

    def dice(self, octets: int) -> bytes:
        """Return so many random octets."""
        return secrets.token_bytes(octets)

    def below(self, bound: int) -> int:
        """Return a whole number by chance, from 0 to below *bound*."""
        return secrets.randbelow(bound)

    def transaction(self, tenant: int) -> AbstractAsyncContextManager[Connection]:
        """Return a connection in a transaction of *tenant*."""
        return transaction(self._pool, tenant)

    async def connection(self, tenant: int) -> Connection:
        """Return a connection of *tenant* for work of many transactions; its user closes it."""
        return await connection(self._config.dsn, ROLE, tenant)

    async def start(self) -> None:
        """Reach the database, then listen."""
        while True:
            try:
                await self._pool.open()
                break
            except Exception as error:  # noqa: BLE001 - an outage, whatever its name: wait for its end
                log.warn("database.away reason={reason}", reason=str(error).strip())
                await asyncio.sleep(RECONNECT)
        for inherited in self._config.sockets:
            sock = socket.socket(fileno=inherited.descriptor)
            sock.setblocking(False)
            self._listening.listen(inherited.kind, sock)
        self._listening.start()
        self._chores.start()
        self._tasks.append(asyncio.ensure_future(self._courier.run()))
        os.write(1, b"ready\n")
        log.info("desk.ready")

    async def stop(self) -> None:
        """Take nothing new, finish what was taken, then let go of everything."""
        self._listening.close()
        try:
            async with asyncio.timeout(LAST):
                await self._serving.quiet()
        except TimeoutError:
            log.warn("desk.cut: requests were under way for longer than {seconds} s", seconds=LAST)
        self._connections.close()
        await self._making.stop()
        await self._chores.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.signer.close()
        await self._pool.close()


def serve(config: DeskConfig, clock: Clock = time.time) -> None:
    """Serve until SIGTERM; *clock* tells the seconds since 1970."""
    run(lambda: Desk(config, clock), log, "desk.failed")


def main() -> None:
    """Read the configuration from stdin and serve."""
    gc.collect()
    serve(msgspec.json.decode(sys.stdin.buffer.read(), type=DeskConfig))


if __name__ == "__main__":
    main()
