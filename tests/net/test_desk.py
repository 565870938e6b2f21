"""What the desk bears: slow clients, endless bodies, floods of bad tokens, and clients that show certificates."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet import reactor
from twisted.internet.task import Clock

from ddns.auth.sealing import Sealer
from ddns.homes.registrar import Registrar
from ddns.net import certificate as certificates
from ddns.net.connections import ConnectionLimits, Connections
from ddns.net.encrypted import CertificateFiles
from ddns.operator import tokens
from ddns.signing.client import SignerClient
from ddns.store.pool import Pool
from ddns.store.tenancy import entered
from ddns.web.channel import STEP, TOO_MUCH, UPLOAD
from ddns.web.listening import Listening
from ddns.web.rations import RationLimits, Rations
from ddns.web.routes import Answer, Listener, Place, Route
from ddns.web.serving import Bounds, Serving
from ddns.web.table import Table
from ddns.web.transacting import transaction

PLENTY = RationLimits(source_burst=1e6, source_rate=1e6)
MOST = 1000  # octets of the body of /echo
DATED = 3656_614_400  # what the desk's clock says
LONG = 128 * STEP  # and of /long


class Size(msgspec.Struct, frozen=True):
    """How many octets came."""

    octets: int


class World:
    """A desk's listeners in this process, with routes of the test's own; what handlers work with."""

    def __init__(self, folder: Path, *, rations=PLENTY, bounds=Bounds(), dsn="", clock=reactor, **limits: Any) -> None:  # noqa: B008
        self.secret = b"s" * 32
        self.sealer = Sealer(self.secret)
        self.signer = SignerClient(folder / "no.sock", 0.1)
        self.place = Place()
        self.pool = Pool(dsn, "ddns_web", 2)
        self.transactions = 0
        self.gate = asyncio.Event()
        self.ended = 0
        self.shown: list[Any] = []
        self.connections = Connections(ConnectionLimits(**{"handshakes": 1e6, **limits}), clock)
        self.rations = Rations(rations, time.monotonic, secrets.token_bytes)
        both = {"right": None, "tag": "t", "listener": Listener.BOTH}
        routes = [
            Route(method="GET", path="/now", summary="A.", answers={200: None}, alone=self.at_once, **both),
            Route(method="GET", path="/wait", summary="A.", answers={200: None}, alone=self.wait, **both),
            Route(
                method="POST", path="/echo", summary="A.", answers={200: Size}, alone=self.echo, most=MOST,
                media=("application/octet-stream",), **both,
            ),
            Route(
                method="POST", path="/long", summary="A.", answers={200: Size}, alone=self.echo, most=LONG,
                media=("application/octet-stream",), **both,
            ),
            Route(
                method="GET", path="/mine", summary="A.", tag="t", answers={200: None}, within=self.mine,
                right="homes:read",
            ),
        ]  # fmt: skip
        self.serving = Serving(Table(routes), self, self.rations, bounds)
        files = CertificateFiles(*map(str, certificates.make(folder / "tls", "ns1.example.")))
        self.listening = Listening(
            files, self.serving, self.connections, Registrar(self.secret, "ns1.example"), reactor, lambda: DATED
        )
        self.ports = {}
        for kind in ("web", "devices"):
            sock = socket.create_server(("127.0.0.1", 0))
            sock.setblocking(False)
            self.ports[kind] = sock.getsockname()[1]
            self.listening.listen(kind, sock)

    def now(self) -> int:
        return int(time.time())

    def dice(self, octets: int) -> bytes:
        return secrets.token_bytes(octets)

    def below(self, bound: int) -> int:
        return secrets.randbelow(bound)

    def transaction(self, tenant: int) -> Any:
        self.transactions += 1
        return transaction(self.pool, tenant)

    async def at_once(self, _means, asked):
        self.shown.append(asked.certificate)
        return Answer(b"now", media="text/plain")

    async def wait(self, _means, _asked):
        await self.gate.wait()
        self.ended += 1
        return Answer(b"then", media="text/plain")

    async def echo(self, _means, asked):
        return Answer(Size(len(asked.octets)))

    async def mine(self, _conn, _means, asked):
        return Answer(asked.who.token.encode(), media="text/plain")

    def context(self, certificate=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    async def connect(self, kind="web", context=None):
        context = context or self.context()
        return await asyncio.open_connection("127.0.0.1", self.ports[kind], ssl=context, server_hostname="")

    async def ask(self, request: bytes, kind="web", context=None):
        """Send *request* over a connection of its own; return status, headers and body."""
        reader, writer = await self.connect(kind, context)
        try:
            writer.write(request)
            return await answer(reader)
        finally:
            writer.close()


async def answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def until(condition):
    """Let the loop turn until *condition* holds."""
    while not condition():  # noqa: ASYNC110 - it is what others do on this loop that is waited for
        await asyncio.sleep(0)


async def test_the_date_of_an_answer_is_the_desks_own_time(world):
    """Statements are judged by that clock; whose own is wrong corrects it by what `Date` says."""
    _status, headers, _body = await world().ask(get("/now"))

    assert headers["date"] == "wed, 14 nov 2085 22:13:20 gmt"


def get(path, *headers):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


@pytest.fixture
def world(tmp_path):
    """What makes a `World` that is let go of at the end."""
    with contextlib.ExitStack() as stack:

        def make(**how):
            made = World(tmp_path, **how)
            stack.callback(made.connections.close)
            stack.callback(made.listening.close)
            return made

        yield make


async def test_a_request_that_dribbles_loses_its_connection_and_nobody_elses(world):
    desk = world(idle=0.5)
    reader, writer = await desk.connect()
    writer.write(b"GET /now HTTP/1.1\r\nHost: x\r\nX-Slow: ")

    async def dribble():
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"a")
                await asyncio.sleep(0.02)

    dribbling = asyncio.ensure_future(dribble())
    assert (await desk.ask(get("/now")))[0] == 200
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        assert await reader.read() == b""
    dribbling.cancel()
    writer.close()


class Uploading:
    """A client that sends a long body in pieces, while the desk's clock is ours; it may be idle for 10 s."""

    def __init__(self, world):
        self.clock = Clock()
        self.desk = world(clock=self.clock, idle=10.0)

    async def begin(self, octets=8 * STEP):
        self.reader, self.writer = await self.desk.connect()
        head = "POST /long HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length:"
        self.writer.write(f"{head} {octets}\r\n\r\n".encode())
        return self

    async def send(self, octets, seconds):
        """Send some of it, and let *seconds* go by when all of that has come; tell whether the desk goes on."""
        here = self.desk.connections.held + octets
        self.writer.write(b"x" * octets)
        await until(lambda: self.desk.connections.held >= here or not len(self.desk.connections))
        for _ in range(seconds):
            self.clock.advance(1)
        return len(self.desk.connections) == 1


async def test_a_long_body_over_a_slow_line_is_taken(world):
    """It takes longer than a connection may be idle, and comes steadily; then it is as short as others."""
    up = await Uploading(world).begin()

    assert [await up.send(STEP, 9) for _ in range(7)] == [True] * 7
    up.writer.write(b"x" * STEP)

    status, _, body = await answer(up.reader)
    assert (status, json.loads(body)) == (200, {"octets": 8 * STEP})
    up.writer.close()


@pytest.mark.parametrize(
    ("octets", "seconds", "taken"),
    [(STEP // 4, 4, 2), (STEP, 13, 0), (STEP // 8, int(UPLOAD), 0)],
    ids=["too slowly", "with a long break", "hardly at all"],
)
async def test_a_long_body_that_does_not_come_steadily_ends_the_connection(world, octets, seconds, taken):
    up = await Uploading(world).begin()

    assert [await up.send(octets, seconds) for _ in range(taken)] == [True] * taken
    assert not await up.send(octets, seconds)
    up.writer.close()


async def test_a_long_body_does_not_come_for_ever(world):
    """As steadily as it may come, after ten minutes what is left has to be there at once."""
    up = await Uploading(world).begin(LONG)
    steps = int(UPLOAD / 9)

    assert [await up.send(STEP, 9) for _ in range(steps + 1)] == [True] * (steps + 1)
    assert not await up.send(STEP, 9)
    up.writer.close()


async def test_a_body_of_the_allowed_length_is_taken_and_one_octet_more_is_not(world):
    desk = world()
    for size, status in ((MOST, 200), (MOST + 1, 413)):
        head = f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}"
        got = await desk.ask(head.encode() + b"\r\n\r\n" + b"x" * size)

        assert got[0] == status
        assert json.loads(got[2]).get("octets", 0) == (size if status == 200 else 0)
    assert desk.connections.held == 0


async def test_a_body_without_an_end_is_cut_off_and_was_never_kept(world):
    desk = world()
    reader, writer = await desk.connect()
    writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece, most = b"x" * 65_536, 0
    sent = 0
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while not reader.at_eof() and sent < 50 * TOO_MUCH:
            writer.write(b"10000\r\n" + piece + b"\r\n")
            await writer.drain()
            sent += len(piece)
            most = max(most, desk.connections.held)
        assert await reader.read() == b""
    writer.close()

    assert sent < 50 * TOO_MUCH
    assert most <= MOST


@pytest.mark.parametrize(
    "request_",
    [
        get("/now", *[f"X-{number}: y" for number in range(70)]),
        get("/now", "X: " + "y" * 20_000),
        b"GET\r\n\r\n",
        get("/now", "Content-Length: 5", "Transfer-Encoding: chunked"),
        get("/now", "Content-Length: -5"),
        get("/now", "X\0Y: z"),
    ],
    ids=["many headers", "long header", "no path", "two lengths", "negative length", "odd name"],
)
async def test_what_is_no_good_http_is_answered_with_a_problem_and_closed(world, request_):
    desk = world()
    reader, writer = await desk.connect()
    writer.write(request_)
    status, headers, body = await answer(reader)

    assert (status, headers["connection"], json.loads(body)["code"]) == (400, "close", "request-malformed")
    assert await reader.read() == b""
    writer.close()


async def test_who_is_one_too_many_is_told_to_come_again(world):
    desk = world(bounds=Bounds(waiting=3))
    waiting = [asyncio.ensure_future(desk.ask(get("/wait"))) for _ in range(3)]
    await until(lambda: desk.serving._under_way == 3)
    status, headers, body = await desk.ask(get("/now"))
    desk.gate.set()

    assert (status, json.loads(body)["code"]) == (503, "desk-busy")
    assert int(headers["retry-after"]) >= 1
    assert [one[0] for one in await asyncio.gather(*waiting)] == [200] * 3


async def test_what_takes_too_long_is_given_up(world):
    desk = world(bounds=Bounds(seconds=0.05))
    status, _headers, body = await desk.ask(get("/wait"))

    assert (status, json.loads(body)["code"]) == (503, "too-slow")
    assert desk.ended == 0


async def test_a_client_that_goes_away_does_not_end_what_it_asked_for(world):
    desk = world()
    _reader, writer = await desk.connect()
    writer.write(get("/wait"))
    await until(lambda: desk.serving._under_way)
    writer.transport.abort()
    await until(lambda: not len(desk.connections))
    desk.gate.set()
    await desk.serving.quiet()

    assert desk.ended == 1


async def test_bad_tokens_are_rationed_before_the_database_is_asked(world, dsn_for):
    desk = world(rations=RationLimits(source_burst=20, source_rate=0.001), dsn=dsn_for("ddns_web"))
    reader, writer = await desk.connect()
    statuses = []
    for number in range(500):
        bad = f"np1.1-{'a' * 16}.{number:043d}"
        writer.write(get("/mine", f"Authorization: Bearer {bad}"))
        statuses.append((await answer(reader))[0])
    writer.close()
    await desk.pool.close()

    assert statuses == [401] * 20 + [429] * 480
    assert desk.transactions == 20


async def test_a_good_token_works_where_others_of_the_same_address_have_used_up_its_ration(world, dsn_for, admin):
    async with admin.transaction():
        await entered(admin, 1)
        fresh = await tokens.add(admin, 1, ["homes:read"], int(time.time()), secrets.token_bytes)
    good = fresh.text.reveal().decode()
    desk = world(rations=RationLimits(source_burst=3, source_rate=0.001), dsn=dsn_for("ddns_web"))
    before = await desk.ask(get("/mine", f"Authorization: Bearer {good}"))
    for _ in range(5):
        await desk.ask(get("/now"))
    after = await desk.ask(get("/mine", f"Authorization: Bearer {good}"))
    await desk.pool.close()

    assert (before[0], before[2].decode()) == (200, fresh.token.id)
    assert after[0] == 200


async def test_a_database_that_is_away_is_said_with_a_time_to_come_again(world):
    desk = world(dsn="host=127.0.0.1 port=1 connect_timeout=2")
    status, headers, body = await desk.ask(get("/mine", f"Authorization: Bearer np1.1-{'a' * 16}.{'b' * 43}"))

    assert (status, json.loads(body)["code"]) == (503, "database-away")
    assert int(headers["retry-after"]) >= 1


async def test_devices_are_asked_for_a_certificate_each_time_and_people_never_are(world, tmp_path):
    desk = world()
    mine = [str(one) for one in certificates.make(tmp_path / "device", "box.example.")]
    shown = certificates.load(*map(Path, mine)).chain[0]
    context = desk.context(mine)
    for kind in ("devices", "devices", "web"):
        await desk.ask(get("/now"), kind, context)
    await desk.ask(get("/now"), "devices")

    assert desk.shown == [shown, shown, None, None]


async def test_a_session_is_not_resumed_by_a_device_which_shows_its_certificate_again(world, tmp_path):
    desk = world()
    mine = [str(one) for one in certificates.make(tmp_path / "device", "box.example.")]
    context = desk.context(mine)

    def twice():
        session = None
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", desk.ports["devices"])) as raw,
                context.wrap_socket(raw, session=session) as tls,
            ):
                tls.sendall(get("/now"))
                tls.recv(4096)
                session, reused = tls.session, tls.session_reused
        return reused

    assert await asyncio.to_thread(twice) is False
    assert [one.subject.rfc4514_string() for one in desk.shown] == ["CN=box.example"] * 2


async def test_a_head_has_no_body_and_says_how_long_it_would_be(world):
    desk = world()
    reader, writer = await desk.connect()
    writer.write(get("/now").replace(b"GET", b"HEAD") + get("/now"))
    head = await reader.readuntil(b"\r\n\r\n")
    status, _headers, body = await answer(reader)
    writer.close()

    assert b"200" in head.split(b"\r\n")[0]
    assert b"content-length: 3\r\n" in head.lower()
    assert (status, body) == (200, b"now")


def test_each_address_and_each_token_pays_from_a_purse_of_its_own_and_purses_are_bounded():
    now = [0.0]
    rations = Rations(RationLimits(2, 1, 3, 1, purses=100), lambda: now[0], bytes)

    assert [rations.source("192.0.2.1") for _ in range(3)] == [0, 0, 1]
    assert rations.source("192.0.2.2") == 0
    assert [rations.source(f"2001:db8:0:{one:x}::1") for one in range(3)] == [0, 0, 1]  # one /56
    assert [rations.proved("a") for _ in range(4)] == [0, 0, 0, 1]
    assert rations.proved("b") == 0
    now[0] = 1.0
    assert rations.source("192.0.2.1") == 0
    for one in range(10_000):
        rations.source(f"198.51.{one >> 8}.{one & 255}")
    assert len(rations._sources) <= 100
