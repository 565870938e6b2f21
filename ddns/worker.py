"""A worker: the composition root of the server. It reads its configuration from stdin and serves until SIGTERM.

    python -m ddns.worker < config.json

The supervisor starts it with bound sockets; it says `ready` on stdout when it answers.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import secrets
import socket
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from twisted.logger import Logger

from ddns.aio import loop
from ddns.answer import hot
from ddns.answer.cookied import Cookied
from ddns.answer.counters import STREAMED
from ddns.answer.online import Proofs
from ddns.answer.responder import Responder
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.answer.table import MEMORY, Table
from ddns.auth import tsig
from ddns.auth.identity import Identity
from ddns.auth.sealing import Sealer
from ddns.delegate.limits import DelegationLimits
from ddns.delegate.notices import Notices
from ddns.delegate.visits import Visits, scanner
from ddns.dns import names
from ddns.dns import wire as wires
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Opcode, Rcode
from ddns.dns.names import Name
from ddns.net import edns, own_records, udp
from ddns.net.admission import Admission, AdmissionLimits
from ddns.net.answering import Answering
from ddns.net.batches import UNDER_WAY, UpdateLimits
from ddns.net.cold import Cold
from ddns.net.connections import ConnectionLimits, Connections
from ddns.net.denials import DenialLimits, Denials
from ddns.net.encrypted import CertificateFiles, Encrypted, Inherited
from ddns.net.expiry import Expiry, ExpiryLimits
from ddns.net.keeper import Keeper
from ddns.net.keyring import Keyring
from ddns.net.outbox import Outbox
from ddns.net.pins import Publishing
from ddns.net.questions import SignedQuestions
from ddns.net.refusals import JournalBounds, RefusalJournal
from ddns.net.reply import Reply, counted
from ddns.net.report import Report
from ddns.net.streams import Streams
from ddns.net.subscriber import Subscriber
from ddns.net.tcp import TcpListener
from ddns.net.updates import Updates
from ddns.net.uses import Uses
from ddns.ongoing import Ongoing
from ddns.process import reactor, run
from ddns.signing.client import SignerClient
from ddns.store.children import hasten
from ddns.store.feed import Feed
from ddns.store.line import Line
from ddns.store.lines import Lines
from ddns.store.pool import Connection, Pool
from ddns.transfers.limits import TransferLimits
from ddns.transfers.notifier import Notifier
from ddns.transfers.transfers import Transfers
from ddns.turns import watch
from ddns.watch import dane
from ddns.watch.limits import WatchLimits
from ddns.watch.watcher import Watcher
from ddns.zone.limits import Limits

log = Logger(namespace="ddns.worker")

GC_YOUNG = 5_000  # objects made before the collector looks at them: some three milliseconds; few are in cycles
GC_OLDER = 2_500  # times that it does before it looks at those that were still there: a tenth of a second and more
RECONNECT = 0.5  # seconds between two attempts to reach the database at the start


class WorkerConfig(msgspec.Struct, frozen=True):
    """All that one worker is told. *sockets* are inherited descriptors.

    *secrets* is the path of `secrets.key`; *name* is what the server signs its answers as, empty: it does not;
    the *first* worker does what one of them has to. *watch* None: it never watches other servers.
    """

    dsn: str
    sockets: list[Inherited]
    secrets: str
    signer: str
    name: str = ""
    first: bool = False
    signer_wait: float = 1.0
    denials: DenialLimits = DenialLimits()
    warm: int = 20000
    table_entries: int = 500_000
    memory: int = MEMORY
    connections: ConnectionLimits = ConnectionLimits()
    certificate: CertificateFiles | None = None
    publishing: Publishing | None = None
    limits: Limits = Limits()
    updates: UpdateLimits = UpdateLimits()
    expiry: ExpiryLimits = ExpiryLimits()
    admission: AdmissionLimits = AdmissionLimits()
    rrl: RrlLimits = RrlLimits()
    refusals: JournalBounds = JournalBounds()
    transfers: TransferLimits = TransferLimits()
    watch: WatchLimits | None = None
    delegation: DelegationLimits = DelegationLimits()
    edns: edns.EdnsConfig = edns.EdnsConfig()


class Worker:
    """Everything that one worker holds, put together."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._pool = Pool(config.dsn, "ddns_server", 3)
        secret = Path(config.secrets).read_bytes()
        options = edns.options(config.edns, secret, time.time)
        self._table = Table(config.table_entries, options.report, config.memory)
        proofs = Proofs(time.time, config.denials.memory)
        self._responder = Responder(self._table, options, proofs)
        # A line of its own: no update waits behind what somebody asks for that does not exist.
        self._denials = Denials(SignerClient(Path(config.signer), config.denials.wait), proofs, config.denials)
        self._rrl = Rrl(config.rrl, options.cookies)
        self._answerer = hot.answerer(self._table, self._rrl)
        self._outbox = Outbox()
        self._subscriber = Subscriber(self._table, self._pool, config.warm, self._outbox.together)
        self._notices = Notices(
            self._responder, lambda name: self._table.authority(name) is not None, self._hasten, config.delegation,
            time.time,
        )  # fmt: skip
        self._answering = Answering(
            self._table, self._responder, self._answerer, self._subscriber, self._denials, self._notices
        )
        self._signer = SignerClient(Path(config.signer), config.signer_wait)
        self._key_line = Line(config.dsn, "ddns_server")
        self._keyring = Keyring(
            self._key_line, Sealer.from_file(Path(config.secrets)), config.updates.keys, config.updates.lookups
        )
        self._questions = SignedQuestions(
            self._keyring, self._answering.answer, tsig.Policy(sha1=config.updates.allow_sha1), time.time
        )
        identity = Identity(secret, names.from_text(config.name)) if config.name else None
        self._refusals = RefusalJournal(self._pool, self._table.find, config.refusals, time.time)
        self._report = Report(self._rrl.counters, reactor().callLater)
        lookup = self._answerer.lookup
        self._cookied = None if options.cookies is None else Cookied(self._table, options.cookies, lookup)
        self._cold = Cold(
            self._table, self._subscriber, lambda: self._subscriber.register.is_complete, lookup, self._cookied,
            time.time, self._serve_udp,
        )  # fmt: skip
        self._admission = Admission(
            self._update, config.admission, options.cookies, time.time, reactor().callLater, time.thread_time,
            lambda: self._updates.has_room(),  # noqa: PLW0108 - it is made below
            self._keyring.has_room,
        )  # fmt: skip
        self._lines = Lines([Line(config.dsn, "ddns_server") for _ in range(UNDER_WAY)])
        follower = secrets.randbits(63)
        self._uses = Uses(self._pool, time.time)
        self._updates = Updates(
            pool=self._pool,
            table=self._table,
            subscriber=self._subscriber,
            signer=self._signer,
            keyring=self._keyring,
            identity=identity,
            limits=config.limits,
            bounds=config.updates,
            journal=self._refusals,
            options=options,
            clock=time.time,
            heard=self._admission.heard,
            lines=self._lines,
            follower=follower,
            afterwards=self._admission.afterwards,
            together=self._outbox.together,
            go_on=self._admission.go_on,
            scanner=scanner(config.delegation, time.time),
            hold=config.delegation.hold,
            uses=self._uses,
        )
        self._expiry = Expiry(self._pool, self._signer, self._subscriber, config.expiry, time.time)
        self._transfers = Transfers(
            dsn=config.dsn,
            keyring=self._keyring,
            served=self._table.find,
            limits=config.transfers,
            policy=tsig.Policy(sha1=config.updates.allow_sha1),
            options=options,
            clock=time.time,
        )
        self._notifier = Notifier(
            dsn=config.dsn,
            keyring=self._keyring,
            changed=self._transfers.reload,
            limits=config.transfers,
            clock=time.time,
        )
        visits = Visits(config.dsn, config.delegation, time.time, Sealer.from_file(Path(config.secrets)).open)
        self._watcher = config.watch and Watcher(config.dsn, config.watch, time.time, self._settle_tlsa, visits.run)
        self._feed = Feed(
            config.dsn,
            "ddns_server",
            on_zones=self._subscriber.heard,
            on_keys=self._keyring.forget,
            on_resync=self._resync,
            own=lambda backend: self._pool.owns(backend) or self._lines.owns(backend),
            follower=follower,
        )
        self._listening: list[Any] = []
        self._ahead = Ongoing()
        self._connections = Connections(config.connections, reactor(), options.keep_alive)
        self._streams = Streams(reactor())
        self._encrypted = config.certificate and Encrypted(
            config.certificate, self._answerer, self._connections, self._streams, reactor()
        )
        self._keepers = [Keeper(*kept, self._pool, self._subscriber) for kept in self._kept(config, identity)]

    def _kept(self, config: WorkerConfig, identity: Identity | None) -> Iterator[own_records.Kept]:
        """Yield what this server keeps of its own records; the first worker does."""
        if config.publishing and self._encrypted:
            yield own_records.tlsa(config.publishing, self._encrypted.certificate.digests)
        if identity and config.first:
            yield own_records.key(config.name, identity)
            yield own_records.listening(config.name, identity, config.delegation)

    async def _resync(self, missed: bool) -> None:
        if self._keyring.compare(time.monotonic(), missed=missed):
            self._read_keys_ahead()
        await self._subscriber.resync()

    async def _settle_tlsa(self, conn: Connection, now: int, looked: Collection[int]) -> None:
        """Have TLSA records come to rest that the servers of the zones *looked* have shown."""
        behind = self._subscriber.show(await dane.settle_all(conn, self._signer, now, looked))
        if behind:
            await self._subscriber.catch_up(behind)

    async def _hasten(self, children: Sequence[Name]) -> None:
        """Have the servers of those of *children* visited soon that are homes with servers of their own."""
        limits = self._config.delegation
        earlier = max(0.0, limits.scan_every - limits.look)
        async with self._pool.connection() as conn:
            await hasten(conn, children, int(time.time()), earlier)

    async def start(self) -> None:
        """Reach the database, learn the zones, listen."""
        while True:
            try:
                await self._pool.open()
                await self._subscriber.resync()
                await self._transfers.start()
                break
            except Exception as error:  # noqa: BLE001 - an outage, whatever its name: wait for its end
                log.warn("database.away reason={reason}", reason=str(error).strip())
                await asyncio.sleep(RECONNECT)
        self._feed.start()
        self._refusals.start()
        self._notifier.start()
        if self._watcher:
            self._watcher.start()
        self._expiry.start()
        self._uses.start()
        self._listen()
        self._report.start()
        os.write(1, b"ready\n")
        log.info("worker.ready zones={zones} twin={twin}", zones=len(self._table.zone_ids()), twin=hot.TWIN)
        await self._subscriber.warm_up()
        self._read_keys_ahead()
        # What has been loaded stays: the collector need not look through it again and again while somebody waits.
        gc.freeze()

    def _read_keys_ahead(self) -> None:
        """Have keys read ahead, unless that is being done."""
        if not self._ahead.is_on:
            self._ahead.start(self._keyring.read_ahead(self._config.warm))

    def _listen(self) -> None:
        for inherited in self._config.sockets:
            sock = socket.socket(fileno=inherited.descriptor)
            sock.setblocking(False)
            if inherited.kind != "dns" and self._encrypted:
                self._encrypted.listen(inherited.kind, sock, self._serve_stream, self._serve_counted)
            elif sock.type == socket.SOCK_DGRAM:
                reader = udp.reader(sock, self._answerer, self._cold.take, self._rrl, self._admission)
                reader.outbox = self._outbox
                # Not by the reactor, whose log context costs as much as a few answers, each time.
                watch(loop, reader.fileno(), reader.doRead)
                self._listening.append(reader)
            else:
                serve = functools.partial(self._serve_stream, Transport.TCP)
                self._listening.append(TcpListener(sock, self._answerer, serve, self._connections, self._streams))
        reactor().addReader(self._streams)
        if self._encrypted:
            self._encrypted.start()
        for keeper in self._keepers:
            keeper.start()

    async def stop(self) -> None:
        """Finish what was taken, then let go of everything."""
        for one in self._listening:
            if isinstance(one, udp.UdpReader):
                loop.remove_reader(one.fileno())
            else:
                one.close()
        if self._encrypted:
            self._encrypted.close()
        for keeper in self._keepers:
            await keeper.close()
        await self._notices.close()
        await self._transfers.close()
        await self._notifier.close()
        if self._watcher:
            await self._watcher.close()
        await self._expiry.close()
        await self._updates.close()
        await self._uses.close()
        await self._refusals.close()
        await self._feed.close()
        await self._subscriber.close()
        await self._signer.close()
        await self._denials.close()
        self._lines.close()
        await self._ahead.end()
        self._key_line.close()
        await self._pool.close()
        self._report.close()

    # -- messages

    def _serve_udp(self, wire: bytes, peer: Any, reply: Reply) -> None:
        source, cookied = peer[0], self._cookied
        if cookied is None or self._table.is_plain(wire):
            self._serve(wire, Asker(Transport.UDP, source), reply)
            return
        now = int(time.time())
        answer = cookied.answer(wire, source, now)
        if answer is not None:
            reply(answer)
        else:
            self._serve(wire, cookied.asker(wire, source, now), reply)

    def _serve_stream(self, transport: Transport, wire: bytes, source: str, reply: Reply) -> None:
        self._serve_counted(wire, Asker(transport, source), reply)

    def _serve_counted(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        self._rrl.counters.numbers[STREAMED] += 1
        self._serve(wire, asker, counted(reply, self._rrl.counters))

    def _serve(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        if not self._answering.settle(wire, asker, reply, self._serve_known):
            self._serve_known(wire, asker, reply)

    def _serve_known(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        try:
            if wire[2] & 0x80:
                self._answering.answer(wire, reply, asker)  # an answer, which gets none
            elif wire[2] >> 3 & 15 == Opcode.UPDATE:
                self._admission.take(wire, asker, reply)
            elif not self._transfers.take(wire, asker, reply) and not self._questions.take(wire, asker, reply):
                self._answering.answer(wire, reply, asker)
        except Exception:  # noqa: BLE001 - a bug: said with its traceback, answered SERVFAIL, nobody else notices
            log.failure("message.failed source={source}", source=asker.source)
            reply(wires.error_reply(wire, Rcode.SERVFAIL))

    def _update(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        # Datagrams come here from their own socket, past `_serve`.
        if not self._answering.settle(wire, asker, reply, self._update_known):
            self._update_known(wire, asker, reply)

    def _update_known(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        try:
            self._updates.receive(wire, asker, reply)
        except Exception:  # noqa: BLE001 - as in `_serve`
            log.failure("update.failed source={source}", source=asker.source)
            reply(wires.error_reply(wire, Rcode.SERVFAIL))


def main() -> None:
    """Read the configuration from stdin and serve."""
    gc.set_threshold(GC_YOUNG, GC_OLDER, 50)
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=WorkerConfig)
    run(lambda: Worker(config), log, "worker.failed")


if __name__ == "__main__":
    main()
