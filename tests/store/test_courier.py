"""Deliveries arrive at least once, signed, under one id, and nowhere that they must not go."""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import os
import re
import signal
import ssl
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from receiving import HANG, Receiver, self_signed

from ddns.auth.sealing import Sealer
from ddns.operator import webhooks as hooks
from ddns.operator.fault import CannotDo
from ddns.store import outbox, tenancy, webhooks
from ddns.store.pool import Pool
from ddns.web import posting
from ddns.web.courier import FIRST_WAIT, GIVE_UP, LONGEST_WAIT, Courier, wait_after
from ddns.web.transacting import transaction

NOW = 1_800_000_000
KEY = bytes(32)
SECRET = bytes(range(32))
OK = b"HTTP/1.1 200 OK\r\n\r\n"


def dice(octets):
    return SECRET[:octets]


class House:
    """A database with one webhook, its receiver, and a courier whose clock is ours."""

    def __init__(self, dsn, admin, receiver):
        self.pool = Pool(dsn, "ddns_web", 4)
        self.admin, self.receiver = admin, receiver
        self.now = NOW
        self.hook = None

    def courier(self, *, private=True, sealer=None):
        return Courier(
            lambda tenant: transaction(self.pool, tenant), sealer or Sealer(KEY), lambda: self.now, private=private,
            context=self.receiver.trust,
        )  # fmt: skip

    async def add(self, url=None, events=("*",)):
        made = await hooks.add(
            self.admin, Sealer(KEY), 1, url or f"https://localhost:{self.receiver.port}/hook?a=b", events, dice
        )
        self.hook = made.id
        return made

    async def put(self, kind="home.held", body=b'{"home":"smith.homes.example."}'):
        return await outbox.put(self.admin, kind, None, body, NOW)

    async def shown(self):
        (one,) = await webhooks.listing(self.admin, 1)
        return one


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("receiver"))


@pytest.fixture
def house(dsn_for, admin, pem):
    @asynccontextmanager
    async def running():
        async with Receiver(pem).running() as receiver:
            one = House(dsn_for("ddns_web"), admin, receiver)
            try:
                yield one
            finally:
                await one.pool.close()

    return running


async def test_a_notice_arrives_with_a_signature_that_its_secret_verifies(house):
    """As Standard Webhooks says: `v1,` and the HMAC-SHA256 over id, time and body."""
    async with house() as at:
        made = await at.add()
        notice = await at.put()

        assert await at.courier().once() == 1

        ((line, headers, body),) = at.receiver.heard
        one = await at.shown()

    assert line == "POST /hook?a=b HTTP/1.1"
    assert json.loads(body) == {
        "type": "home.held", "timestamp": "2027-01-15T08:00:00Z", "data": {"home": "smith.homes.example."},
    }  # fmt: skip
    ident, when, said = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    secret = base64.b64decode(made.secret.reveal().decode().removeprefix("whsec_"))
    signed = base64.b64encode(hmac.digest(secret, f"{ident}.{when}.".encode() + body, hashlib.sha256)).decode()
    assert (ident, when, said) == (f"notice-{notice}", str(NOW), f"v1,{signed}")
    assert (one.waiting, one.problem) == (0, "")


async def test_what_was_delivered_is_not_sent_again(house):
    async with house() as at:
        await at.add()
        await at.put()
        courier = at.courier()
        await courier.once()
        at.now += 10**6

        assert await courier.once() == 0
        assert len(at.receiver.heard) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\n\r\n",
        b"HTTP/1.1 302 Go\r\nLocation: https://127.0.0.1/\r\n\r\n",
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200" + b"0" * 4000 + b"\r\n",
    ],
)
async def test_what_was_not_taken_is_sent_again_later_under_the_same_id(house, answer):
    async with house() as at:
        await at.add()
        await at.put()
        at.receiver.answers.append(answer)
        courier = at.courier()

        await courier.once()
        problem = (await at.shown()).problem
        at.now = NOW + FIRST_WAIT - 1
        too_early = await courier.once()
        at.now = NOW + FIRST_WAIT
        await courier.once()

        first, second = at.receiver.heard
        one = await at.shown()

    assert problem
    assert too_early == 0
    assert first[1]["webhook-id"] == second[1]["webhook-id"]
    assert (one.waiting, one.problem) == (0, "")


async def test_a_webhook_that_takes_nothing_is_stopped_after_three_days_and_a_test_starts_it_again(house):
    async with house() as at:
        made = await at.add()
        await at.put()
        courier = at.courier()
        at.receiver.answers = [b"HTTP/1.1 503 Busy\r\n\r\n"] * 2
        at.now = NOW + GIVE_UP - 1
        await courier.once()
        before = (await at.shown()).state
        at.now = NOW + GIVE_UP + LONGEST_WAIT
        await courier.once()
        stopped = await at.shown()
        at.now += GIVE_UP
        nothing = await courier.once()

        await hooks.test(at.admin, 1, made.id, at.now)
        await courier.once()
        await courier.once()
        again = await at.shown()

    assert before == webhooks.ACTIVE
    assert (stopped.state, stopped.problem) == (webhooks.STOPPED, "it answered 503")
    assert nothing == 0
    assert (again.state, again.waiting, again.problem) == (webhooks.ACTIVE, 0, "")


async def test_a_receiver_that_says_gone_is_told_no_more(house):
    async with house() as at:
        await at.add()
        await at.put()
        at.receiver.answers = [b"HTTP/1.1 410 Gone\r\n\r\n"]

        await at.courier().once()

        assert (await at.shown()).state == webhooks.STOPPED


async def test_a_receiver_that_hangs_is_left_and_keeps_nobody_else_waiting(house, pem, monkeypatch):
    """Another webhook is told meanwhile; no transaction is open while a receiver is waited for."""
    async with house() as at, Receiver(pem).running() as other:
        await at.add()
        await hooks.add(at.admin, Sealer(KEY), 1, f"https://localhost:{other.port}/", (), os.urandom)
        at.receiver.answers = [HANG]
        await at.put()
        running = asyncio.create_task(at.courier().run())
        await at.receiver.came.wait()
        await other.came.wait()
        cursor = await at.admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ddns_web' AND state LIKE 'idle in transaction%'"
        )
        (open_ones,) = await cursor.fetchone()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await at.receiver.left.wait()

    assert open_ones == 0
    assert len(other.heard) == 1


async def test_who_takes_too_long_is_given_up(house, monkeypatch):
    monkeypatch.setattr(posting, "TIME", 0.05)
    async with house() as at:
        at.receiver.answers = [HANG]
        place = hooks.read_url(f"https://localhost:{at.receiver.port}/")

        answered = await posting.post(place, (), b"{}", at.receiver.trust, private=True)

    assert (answered.status, answered.taken) == (0, False)
    assert "no answer" in answered.problem


async def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(house):
    async with house() as at:
        place = hooks.read_url(f"https://localhost:{at.receiver.port}/")

        answered = await posting.post(place, (), b"{}", ssl.create_default_context(), private=True)

        assert "certificate" in answered.problem
        assert at.receiver.heard == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"])
async def test_nothing_is_sent_to_this_host_by_whatever_name_unless_that_is_set(house, host):
    async with house() as at:
        await at.add(f"https://{host}:{at.receiver.port}/")
        await at.put()

        await at.courier(private=False).once()

        assert at.receiver.heard == []
        assert "public Internet" in (await at.shown()).problem


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.0.0.1", "192.0.2.1",
     "192.168.1.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1",
     "::127.0.0.1", "::ffff:10.0.0.1",
     "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
     "fc00::1", "fe80::1", "ff02::1"],
)  # fmt: skip
def test_addresses_that_are_not_of_the_public_internet_are_not_gone_to(address):
    assert not posting.may_go_to(ipaddress.ip_address(address))
    assert posting.choose([address], private=False) is None
    assert posting.choose([address], private=True) == address


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "193.0.6.139", "2a00:1450:4001::1", "2606:4700::1111", "::ffff:1.1.1.1"]
)
def test_addresses_of_the_public_internet_are_gone_to(address):
    assert posting.may_go_to(ipaddress.ip_address(address))


def test_the_connection_goes_to_the_address_that_was_judged():
    """A name with an inner and an outer address leads to the outer one; one with a zone leads nowhere."""
    assert posting.choose(["10.0.0.1", "fe80::1%eth0", "1.1.1.1"], private=False) == "1.1.1.1"


@pytest.mark.parametrize(
    "url",
    ["http://a.example/", "https://", "https://user@a.example/", "https://a.example:0/", "https://a.example:65536/",
     "https://a.example/ x", "https://a.example/\r\nX: y", "https://a.example/#x", "https://é.example/", "//a.example/",
     "https://a.example/" + "x" * 500, "https://[::1", "https:///a", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_address_of_a_webhook_is_refused(url):
    with pytest.raises(CannotDo):
        hooks.read_url(url)


@pytest.mark.parametrize(
    ("url", "place", "authority"),
    [("https://a.example", hooks.Place("a.example", 443, "/"), "a.example"),
     ("https://A.example:8443?x=1", hooks.Place("a.example", 8443, "/?x=1"), "a.example:8443"),
     ("https://[2001:db8::1]/p", hooks.Place("2001:db8::1", 443, "/p"), "[2001:db8::1]")],
)  # fmt: skip
def test_an_address_of_a_webhook_is_read(url, place, authority):
    assert hooks.read_url(url) == place
    assert place.authority == authority


def test_waiting_doubles_up_to_a_bound():
    assert [wait_after(tries) for tries in (1, 2, 3)] == [60, 120, 240]
    assert wait_after(10) == wait_after(32767) == LONGEST_WAIT


async def test_there_is_a_bound_of_webhooks_and_kinds_are_kinds(admin):
    for _ in range(hooks.MOST):
        await hooks.add(admin, Sealer(KEY), 1, "https://a.example/", ["home.held"], os.urandom)
    with pytest.raises(CannotDo, match="already"):
        await hooks.add(admin, Sealer(KEY), 1, "https://a.example/", (), os.urandom)
    with pytest.raises(CannotDo, match="no kind"):
        hooks.read_events(["Everything"])
    with pytest.raises(CannotDo, match="no webhook"):
        await hooks.remove(admin, 1, UUID(int=1))
    with pytest.raises(CannotDo, match="no webhook"):
        await hooks.test(admin, 1, UUID(int=1), NOW)


def test_the_page_names_every_kind_of_notice():
    page = (Path(__file__).parents[2] / "docs/howto/webhooks.md").read_text()
    part = page.split("The kinds of notices are", 1)[1].split("\n\n", 1)[0]

    assert set(re.findall(r"`([a-z]+\.[a-z-]+)`", part)) == hooks.KINDS


def test_every_kind_that_is_put_is_known():
    """A notice of a kind that nobody can name would reach only who asks for all."""
    root = Path(__file__).parents[2] / "ddns"
    put = {
        kind for path in root.rglob("*.py") for kind in re.findall(r"outbox\.put\(\w+, \"([^\"]+)\"", path.read_text())
    }

    assert put
    assert put <= hooks.KINDS


async def test_a_secret_that_another_key_sealed_is_a_problem_that_is_shown(house):
    async with house() as at:
        await at.add()
        await at.put()

        await at.courier(sealer=Sealer(b"x" * 32)).once()

        assert "sealed with another key" in (await at.shown()).problem
        assert at.receiver.heard == []


CHILD = """
import asyncio, ssl, sys
from ddns.auth.sealing import Sealer
from ddns.store.pool import Pool
from ddns.web import courier
from ddns.web.transacting import transaction

dsn, pem, now, where = sys.argv[1:]
pool = Pool(dsn, "ddns_web", 2)

class Stopping(courier.Courier):
    async def _claim(self, one):
        taken = await super()._claim(one)
        if where == "claimed":
            await stopped()
        return taken

    async def _send(self, webhook, notice):
        answered = await super()._send(webhook, notice)
        if where == "sent":
            await stopped()
        return answered

async def stopped():
    print("here", flush=True)
    await asyncio.Event().wait()

async def main():
    one = Stopping(lambda tenant: transaction(pool, tenant), Sealer(bytes(32)), lambda: int(now), private=True,
                   context=ssl.create_default_context(cafile=pem))
    await one.once()

asyncio.run(main())
"""


@pytest.mark.parametrize(("where", "sent"), [("claimed", 1), ("sent", 2)])
async def test_a_courier_that_is_killed_leaves_its_delivery_to_the_next_one(house, dsn_for, pem, where, sent):
    """Killed between its claim and the POST, or between the POST and its mark: it arrives, under the same id."""
    async with house() as at:
        await at.add()
        await at.put()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, dsn_for("ddns_web"), str(pem), str(NOW), where, stdout=asyncio.subprocess.PIPE
        )
        reached = await child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        await child.wait()
        courier = at.courier()
        too_early = await courier.once()
        at.now += FIRST_WAIT
        await courier.once()

        heard = at.receiver.heard
        one = await at.shown()

    assert reached == b"here\n"
    assert too_early == 0
    assert len(heard) == sent
    assert len({headers["webhook-id"] for _, headers, _ in heard}) == 1
    assert one.waiting == 0


async def test_what_another_tenants_courier_sends_is_its_own(house):
    """Each delivery is read in its own tenant's transaction: the body is that tenant's notice."""
    async with house() as at, Receiver(at.receiver.pem).running() as other:
        cursor = await at.admin.execute("INSERT INTO tenants (name) VALUES ('other') RETURNING id")
        (tenant,) = await cursor.fetchone()
        await at.add()
        await hooks.add(at.admin, Sealer(KEY), tenant, f"https://localhost:{other.port}/", (), os.urandom)
        await at.put(body=b'{"of":"registry"}')
        async with at.admin.transaction():
            await tenancy.entered(at.admin, tenant)
            await outbox.put(at.admin, "home.held", None, b'{"of":"other"}', NOW)

        assert await at.courier().once() == 2

    assert [json.loads(body)["data"] for _, _, body in at.receiver.heard] == [{"of": "registry"}]
    assert [json.loads(body)["data"] for _, _, body in other.heard] == [{"of": "other"}]
