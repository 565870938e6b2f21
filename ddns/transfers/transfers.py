"""Zone transfers out of one worker: AXFR (RFC 5936) and IXFR (RFC 1995), over every transport that is a stream.

The order of work: form, signature, right, a free place; and only then the database, once, in one snapshot, so that a
transfer shows the zone at one serial whatever is committed meanwhile. The reactor gets its turn after each message,
and a client that does not read holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from psycopg import AsyncConnection, OperationalError
from twisted.logger import Logger

from ddns.answer.options import Options
from ddns.auth import tsig
from ddns.auth.budget import Buckets
from ddns.auth.principal import Credential
from ddns.auth.tsig import TsigRecord
from ddns.dns import names, wire
from ddns.dns.asker import Asker
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset, serial_newer
from ddns.dns.refusal import Refusal
from ddns.net.keyring import Keyring
from ddns.net.reply import Reply, StreamReply
from ddns.store import editions, published, transfers, zones
from ddns.store.pool import Pool
from ddns.store.zones import Zone
from ddns.transfers import delta, request
from ddns.transfers.client import Client
from ddns.transfers.delta import Step
from ddns.transfers.limits import TransferLimits
from ddns.transfers.packer import Packer, TooLong
from ddns.transfers.rights import Rights, allowed

log = Logger(namespace="ddns.transfers")

TOLD = 10  # refusals logged a second; ten times as many in a burst
_ROW = 64  # octets: fewer than an RRset takes on the wire as a rule, so that enough of them are looked at
_SOA = int(Type.SOA)

UDP = Refusal(
    "transfer-over-udp", Rcode.FORMERR, "A whole zone is transferred over TCP or TLS only; ask again there.",
    Ede.NOT_SUPPORTED,
)  # fmt: skip
NO_ZONE = Refusal("transfer-no-zone", Rcode.NOTAUTH, "No such zone is served here.", Ede.NOT_AUTHORITATIVE)
DENIED = Refusal(
    "transfer-not-allowed", Rcode.REFUSED,
    "No transfer of this zone is allowed to this key or address; its operator can allow it (`ddns transfer allow`).",
    Ede.PROHIBITED,
)  # fmt: skip
BUSY = Refusal(
    "transfer-busy", Rcode.SERVFAIL, "Too many transfers are under way; ask again in a while.", Ede.NOT_READY
)
AWAY = Refusal(
    "transfer-away", Rcode.SERVFAIL, "The registry's database is away; ask again in a moment.", Ede.NOT_READY
)
UNPUBLISHED = Refusal(
    "transfer-unpublished", Rcode.SERVFAIL, "The zone has not been published yet; ask again later.", Ede.NOT_READY
)
FAILED = Refusal("transfer-failed", Rcode.SERVFAIL, "This transfer failed here; tell the zone's operator.", Ede.OTHER)


class Gone(Exception):
    """The client has gone, or does not read."""


class Transfers:
    """The transfers out of one worker. *served* gives the id of a zone by its apex, None where there is none."""

    def __init__(
        self,
        *,
        dsn: str,
        keyring: Keyring,
        served: Callable[[Name], int | None],
        limits: TransferLimits,
        policy: tsig.Policy,
        options: Options,
        clock: Callable[[], float],
    ) -> None:
        self._options = options
        self._told = Buckets(10 * TOLD, TOLD, 1)
        self._rights = Rights()
        self._keyring = keyring
        self._served = served
        self._limits = limits
        self._policy = policy
        self._clock = clock
        # Connections of its own: transfers take long, and an update is not to wait for one.
        self._pool = Pool(dsn, "ddns_server", limits.at_once)
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Reach the database. Raises `psycopg.OperationalError`."""
        await self._pool.open()

    async def reload(self, conn: AsyncConnection[Any]) -> None:
        """Read the rights anew."""
        self._rights.replace(await transfers.rights(conn))

    async def close(self) -> None:
        """Break off what is under way."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._pool.close()

    def take(self, octets: bytes, asker: Asker, reply: Reply) -> bool:
        """Take *octets* where they ask for a transfer, and reply, now or soon; else return False."""
        if not request.is_transfer(octets):
            return False
        signature = tsig.cut(octets)
        if isinstance(signature, Refusal):
            reply(wire.error_reply(octets, signature.rcode, end=wire.question(octets).end))
        elif signature is None:
            self._judge(octets, octets, asker, reply, None, None)
        else:
            record = signature

            def known(credentials: tuple[Credential, ...] | None) -> None:
                if credentials is None:
                    reply(wire.error_reply(octets, Rcode.SERVFAIL, end=wire.question(octets).end))
                else:
                    self._verify(octets, asker, reply, record, tsig.candidate(record, credentials))

            if not self._keyring.find(record.name, known):
                reply(wire.error_reply(octets, Rcode.SERVFAIL, end=wire.question(octets).end))
        return True

    def _verify(
        self, octets: bytes, asker: Asker, reply: Reply, record: TsigRecord, credential: Credential | None
    ) -> None:
        now = int(self._clock())
        refusal = tsig.verify(record, credential, now, self._policy)
        if refusal is None:
            self._judge(octets, record.message, asker, reply, record, credential)
            return
        answer = wire.error_reply(octets, refusal.rcode, end=wire.question(octets).end)
        reply(answer if refusal.rcode == Rcode.FORMERR else tsig.reply(answer, record, credential, now, refusal))

    def _judge(
        self, octets: bytes, message: bytes, asker: Asker, reply: Reply, record: TsigRecord | None,
        credential: Credential | None,
    ) -> None:  # fmt: skip
        """Refuse at once what is to be refused, and begin with the rest."""
        asked, refusal = request.read(message)
        one = Client(octets, asked, asker, reply, record, credential, self._options, self._clock)
        if refusal is None and asked.type == Type.AXFR and not isinstance(reply, StreamReply):
            refusal = UDP
        if refusal is None and self._served(asked.origin) is None:
            refusal = NO_ZONE
        if refusal is None and not self._rights.may(asked.origin, one.key, asker.source):
            refusal = DENIED
        if refusal is None and len(self._running) >= self._limits.at_once:
            refusal = BUSY
        if refusal is not None:
            if self._told.take(None, self._clock()):
                log.info(
                    "transfer.refused zone={zone} to={to} code={code}",
                    zone=names.to_text(asked.origin),
                    to=asker.source,
                    code=refusal.code,
                )
            one.refuse(refusal)
            return
        task = asyncio.ensure_future(self._run(one))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    # -- one transfer

    async def _run(self, one: Client) -> None:
        zone = names.to_text(one.asked.origin)
        try:
            async with asyncio.timeout(self._limits.seconds):
                refusal = await self._transfer(one)
        except OperationalError:
            log.warn("transfer.database_away zone={zone} to={to}", zone=zone, to=one.source)
            refusal = AWAY
        except (Gone, TimeoutError):
            log.info("transfer.broken_off zone={zone} to={to}", zone=zone, to=one.source)
            one.begun, refusal = True, AWAY
        except TooLong as error:
            log.critical("transfer.impossible zone={zone} reason={reason}", zone=zone, reason=error)
            refusal = FAILED
        except Exception:  # noqa: BLE001 - a bug: said with its traceback, and no client waits for nothing
            log.failure("transfer.failed zone={zone} to={to}", zone=zone, to=one.source)
            refusal = FAILED
        if refusal is not None:
            one.refuse(refusal)

    async def _transfer(self, one: Client) -> Refusal | None:
        """Send what *one* asks for; or return why not, and then nothing has been sent."""
        asked, began = one.asked, time.monotonic()
        async with self._pool.snapshot() as conn:
            # A client that reads slowly leaves the snapshot idle; that it ends, our own limit sees to.
            await conn.execute(
                f"SET LOCAL idle_in_transaction_session_timeout = {int(self._limits.seconds * 1000) + 1000}"
            )
            zone = await zones.find(conn, asked.origin)
            if zone is None or zone.held:
                return NO_ZONE
            if not allowed(await transfers.rights_on(conn, zone), one.key, one.source):
                return DENIED
            apex = (await published.read_names(conn, [(zone.id, zone.origin)])).get((zone.id, zone.origin), ())
            soa = next((rrset for rrset in apex if rrset.type == Type.SOA), None)
            if not zone.edition or soa is None:
                return UNPUBLISHED
            stream = one.reply if isinstance(one.reply, StreamReply) else None
            kind, sent = await self._send(conn, one, zone, soa, stream)
        if stream is not None:
            async with self._pool.connection() as conn:
                await transfers.note_transferred(
                    conn, zone.id, one.source.partition("%")[0], one.key, kind, zone.serial
                )
        if sent:
            log.info(
                "transfer.sent zone={zone} to={to} kind={kind} serial={serial} records={records} seconds={seconds}",
                zone=names.to_text(zone.origin),
                to=one.source,
                kind=kind,
                serial=zone.serial,
                records=sent,
                seconds=round(time.monotonic() - began, 3),
            )
        return None

    async def _send(
        self, conn: AsyncConnection[Any], one: Client, zone: Zone, soa: SignedRRset, stream: StreamReply | None
    ) -> tuple[str, int]:
        """Send the zone, what changed in it, or only its SOA; return in which way, and the number of records."""
        rdata = soa.rdatas[0]
        opt = one.opt(rdata)
        serial = one.asked.serial
        current = serial is not None and (serial == zone.serial or serial_newer(serial, zone.serial))
        if stream is None or current:
            # Over UDP always: an asker who is behind comes back by TCP (RFC 1995 §2), and nobody is amplified.
            packer = Packer(one.octets, one.asked.end, zone.origin, opt, one.reserved)
            packer.add(zone.origin, _SOA, soa.ttl, soa.rdatas)
            packer.finish()
            one.begun = True
            one.reply(one.sign(packer.done[0]))
            return "current", 0
        packer = Packer(one.octets, one.asked.end, zone.origin, opt, one.reserved)
        steps = None if serial is None else await self._steps(conn, zone, serial)
        pages = self._whole(conn, packer, zone, soa) if steps is None else _differences(packer, soa, steps)
        async with aclosing(pages):
            await self._pass_on(one, stream, packer, pages)
        return "axfr" if steps is None else "ixfr", packer.records

    async def _pass_on(self, one: Client, stream: StreamReply, packer: Packer, pages: AsyncGenerator[None]) -> None:
        """Send the messages of *packer* as *pages* fill them, no faster than the client reads."""
        last: bytes | None = None
        async for _ in pages:
            for octets in packer.done:
                if last is not None:
                    one.begun = True
                    stream.more(one.sign(last))
                    await self._room(stream)
                last = octets
            packer.done.clear()
        packer.finish()
        for octets in packer.done:
            if last is not None:
                one.begun = True
                stream.more(one.sign(last))
                await self._room(stream)
            last = octets
        if last is not None:
            one.begun = True
            stream(one.sign(last))

    async def _room(self, stream: StreamReply) -> None:
        """Let others have their turn, and wait until the client has read. Raises `Gone`."""
        await asyncio.sleep(0)
        async with asyncio.timeout(self._limits.stall):
            if not await stream.room():
                raise Gone

    async def _whole(
        self, conn: AsyncConnection[Any], packer: Packer, zone: Zone, soa: SignedRRset
    ) -> AsyncGenerator[None]:
        """Write the whole zone, its SOA first and last (RFC 5936 §2.2), yielding after each page of the database."""
        packer.add(zone.origin, _SOA, soa.ttl, soa.rdatas)
        origin_key = names.order_key(zone.origin)
        last, name = b"", b""
        async with aclosing(transfers.stream(conn, zone.id)) as pages:
            async for rows in pages:
                for owner, rdtype, ttl, rdatas, sigs in rows:
                    if owner != last:
                        last, name = owner, names.from_order_key(owner)
                    if rdtype == _SOA and owner == origin_key:
                        rdatas = []  # noqa: PLW2901 - it stands first and last; its signatures stand here
                    packer.add_signed(name, rdtype, ttl, rdatas, sigs)
                yield
        packer.add(zone.origin, _SOA, soa.ttl, soa.rdatas)

    async def _steps(self, conn: AsyncConnection[Any], zone: Zone, serial: int) -> list[Step] | None:
        """Return what leads from *serial* to the present, or None where the whole zone is to be sent."""
        limits = self._limits
        first = await editions.behind(conn, zone.id, serial, zone.edition - limits.history)
        if first is None or first[1] > limits.delta:
            return None
        found = await editions.since(conn, zone.id, first[0] - 1, limits.history)
        if not delta.follows(found, serial, zone.edition, zone.serial):
            return None
        steps = []
        for edition in found:
            step = delta.step(edition, zone.origin)
            if step is None:
                return None
            steps.append(step)
            await asyncio.sleep(0)
        size = int(sum(step.size for step in steps) / limits.ratio) if limits.ratio else 0
        if limits.ratio and size > await transfers.least_size(conn, zone.id, size // _ROW + 1):
            return None
        return steps


async def _differences(packer: Packer, soa: SignedRRset, steps: list[Step]) -> AsyncGenerator[None]:
    """Write the differences between versions, the new SOA first and last (RFC 1995 §4), yielding after each."""
    packer.add(soa.name, _SOA, soa.ttl, soa.rdatas)
    for step in steps:
        for rrset in (step.old, *step.removed, step.new, *step.added):
            packer.add(rrset.name, rrset.type, rrset.ttl, rrset.rdatas)
        yield
    packer.add(soa.name, _SOA, soa.ttl, soa.rdatas)
