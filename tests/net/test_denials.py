"""Questions that wait for the signer of a compact zone, over its real socket: who may wait, how long, and for what."""

import asyncio
import socket

import msgspec
import pytest
from asking import query, read
from compacting import House, nsec
from waiting import wait_for

from ddns.answer.online import NeedSigned
from ddns.dns.asker import Asker, Transport
from ddns.net.denials import AT_ONCE, DenialLimits, Denials, Outcome
from ddns.signing.client import SignerClient
from ddns.zone.jobs import Proven, Signed, SignedJob, framed
from zone_signer.service import Service
from zone_signer.signer import Signer

LINES = ("www 300 A 192.0.2.1", "*.w 300 A 192.0.2.3", "*.alias 300 CNAME q.w")
SOMEBODY = Asker(Transport.UDP, "192.0.2.1")
NEIGHBOUR = Asker(Transport.UDP, "192.0.2.77")
ELSEWHERE = Asker(Transport.UDP, "198.51.100.1")
PROVED = Asker(Transport.UDP, "192.0.2.1", verified=True)
BY_TCP = Asker(Transport.TCP, "192.0.2.1")
PLENTY = DenialLimits(rate=10_000, each=10_000, waiting=1000, wait=20)


class Server:
    """A house whose signer is asked at *path*, as a worker asks."""

    def __init__(self, path, limits=PLENTY, house=None):
        self.house = house or House("example.com.", *LINES)
        self.now = 1000.0
        self.denials = Denials(SignerClient(path, limits.wait), self.house.proofs, limits, lambda: self.now)
        self.outcomes = []

    def needed(self, name):
        found = self.house.responder.respond(query(name, do=True), SOMEBODY)
        assert isinstance(found, NeedSigned)
        return found

    def begin(self, name, asker=SOMEBODY):
        """Ask, and return a future with what comes of it."""
        done = asyncio.get_running_loop().create_future()
        self.denials.need(self.needed(name), asker, done.set_result)
        return done

    async def ask(self, name, asker=SOMEBODY):
        return await asyncio.wait_for(self.begin(name, asker), 30)


@pytest.fixture
def served(tmp_path):
    """Yield what makes a server whose signer is there."""
    house = House("example.com.", *LINES)
    path = tmp_path / "signer.sock"
    service = Service(path, Signer(house.ring, None, lambda: house.now, house.rows))
    wait_for(service.start())
    made = []

    def server(limits=PLENTY):
        made.append(Server(path, limits, house))
        return made[-1]

    yield server
    for one in made:
        wait_for(one.denials.close())
    wait_for(service.close())


@pytest.fixture
def mute(tmp_path):
    """Yield what makes a server whose signer takes everything and says nothing."""
    path = tmp_path / "signer.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        made = []

        def server(limits):
            made.append(Server(path, limits))
            return made[-1]

        yield server
        for one in made:
            wait_for(one.denials.close())


async def test_what_is_signed_is_the_answer(served):
    server = served()

    for name in ("nowhere.example.com.", "q.w.example.com.", "q.alias.example.com."):
        assert await server.ask(name) is Outcome.SIGNED
        message = read(server.house.responder.respond(query(name, do=True), SOMEBODY))
        assert message.answer or nsec(message)
        server.house.judge(message)


async def test_who_asks_for_the_same_name_meanwhile_waits_for_the_same_signature(served):
    server = served(DenialLimits(rate=4, each=100, wait=20))  # two tokens for those without a proof

    outcomes = await asyncio.gather(
        *[server.begin("nowhere.example.com.", asker) for asker in [SOMEBODY, ELSEWHERE] * 9]
    )

    assert set(outcomes) == {Outcome.SIGNED}
    assert len(server.house.proofs) == 1
    assert await server.ask("other.example.com.") is Outcome.SIGNED
    assert await server.ask("third.example.com.") is Outcome.BUSY


async def test_more_names_than_the_signer_is_asked_for_together_are_all_signed(served):
    server = served()
    much = 3 * AT_ONCE + 1

    outcomes = await asyncio.gather(*[server.begin(f"n{number}.example.com.") for number in range(much)])

    assert outcomes == [Outcome.SIGNED] * much
    assert len(server.house.proofs) == much


async def test_a_network_has_so_many_and_its_neighbours_take_nothing_from_others(served):
    server = served(DenialLimits(rate=10_000, each=3, wait=20))

    outcomes = [await server.ask(f"n{number}.example.com.", [SOMEBODY, NEIGHBOUR][number % 2]) for number in range(7)]
    assert outcomes == [Outcome.SIGNED] * 6 + [Outcome.BUSY]

    assert await server.ask("other.example.com.", ELSEWHERE) is Outcome.SIGNED
    # A purse that nobody can empty who only claims the address.
    assert await server.ask("proved.example.com.", PROVED) is Outcome.SIGNED
    assert await server.ask("stream.example.com.", BY_TCP) is Outcome.SIGNED

    server.now += 1 / 3
    assert await server.ask("later.example.com.") is Outcome.SIGNED
    assert await server.ask("and-more.example.com.") is Outcome.BUSY


async def test_all_together_have_so_many_and_half_of_it_is_for_proved_addresses(served):
    server = served(DenialLimits(rate=8, each=1000, wait=20))
    askers = [Asker(Transport.UDP, f"198.51.{number}.1") for number in range(5)]

    outcomes = [await server.ask(f"n{number}.example.com.", asker) for number, asker in enumerate(askers)]
    assert outcomes == [Outcome.SIGNED] * 4 + [Outcome.BUSY]

    outcomes = [await server.ask(f"p{number}.example.com.", PROVED) for number in range(5)]
    assert outcomes == [Outcome.SIGNED] * 4 + [Outcome.BUSY]

    server.now += 0.5
    assert [await server.ask("one.example.com."), await server.ask("two.example.com.")] == [
        Outcome.SIGNED,
        Outcome.BUSY,
    ]


async def test_what_wildcards_answer_is_paid_from_purses_of_its_own(served):
    """A flood of names that are not there takes no answer away that is."""
    server = served(DenialLimits(rate=8, each=1000, wait=20))
    for number in range(4):
        assert await server.ask(f"n{number}.example.com.") is Outcome.SIGNED
    assert await server.ask("n4.example.com.") is Outcome.BUSY

    assert [await server.ask(f"q{number}.w.example.com.") for number in range(5)] == [Outcome.SIGNED] * 4 + [
        Outcome.BUSY
    ]


async def test_the_least_rate_is_one_at_a_time(served):
    server = served(DenialLimits(rate=1, each=1, wait=20))

    assert [await server.ask("one.example.com."), await server.ask("two.example.com.")] == [
        Outcome.SIGNED,
        Outcome.BUSY,
    ]


async def test_who_cannot_pay_for_all_of_an_answer_pays_for_none_of_it(served):
    server = served(DenialLimits(rate=10_000, each=1.5, wait=20))  # three tokens
    assert len(server.needed("q.alias.example.com.").needs) == 2

    assert await server.ask("first.example.com.") is Outcome.SIGNED
    assert await server.ask("second.example.com.") is Outcome.SIGNED
    assert await server.ask("q.alias.example.com.") is Outcome.BUSY
    assert await server.ask("third.example.com.") is Outcome.SIGNED


async def test_what_is_remembered_costs_nothing(served):
    server = served(DenialLimits(rate=4, each=1, wait=20))
    await server.ask("nowhere.example.com.")

    for _ in range(50):
        answer = server.house.responder.respond(query("nowhere.example.com.", do=True), SOMEBODY)
        assert isinstance(answer, bytes)


async def test_so_many_questions_wait_and_the_next_does_not(mute):
    server = mute(DenialLimits(rate=10_000, each=10_000, waiting=5, wait=20))

    waiting = [server.begin(f"n{number % 3}.example.com.") for number in range(5)]
    turned_away = server.begin("n0.example.com.")

    assert turned_away.done()
    assert await turned_away is Outcome.BUSY
    assert not any(one.done() for one in waiting)


async def test_nobody_waits_for_longer_than_the_limit(mute):
    server = mute(DenialLimits(rate=10_000, each=10_000, waiting=1000, wait=0.05))

    outcomes = await asyncio.gather(*[server.begin(f"n{number}.example.com.") for number in range(2 * AT_ONCE)])

    assert set(outcomes) <= {Outcome.AWAY}
    assert await server.ask("next.example.com.") is Outcome.AWAY  # and there is room again


async def test_where_there_is_no_signer_nobody_waits(tmp_path):
    server = Server(tmp_path / "nobody.sock")

    assert [await server.ask(f"n{number}.example.com.") for number in range(3)] == [Outcome.AWAY] * 3
    assert len(server.house.proofs) == 0
    await server.denials.close()


async def test_a_signer_that_ends_leaves_nobody_waiting(tmp_path):
    house = House("example.com.", *LINES)
    path = tmp_path / "signer.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        server = Server(path, PLENTY, house)
        waiting = [server.begin(f"n{number}.example.com.") for number in range(3)]
        taken, _ = await asyncio.to_thread(listening.accept)
        taken.close()
        assert await asyncio.gather(*waiting) == [Outcome.AWAY] * 3
    path.unlink()

    service = Service(path, Signer(house.ring, None, lambda: house.now, house.rows))
    await service.start()
    try:
        assert await server.ask("again.example.com.") is Outcome.SIGNED
    finally:
        await server.denials.close()
        await service.close()


async def test_what_the_signer_refuses_is_told_and_not_kept(served):
    server = served()
    kept = server.house.rows.kept
    server.house.rows.kept = type(kept)(kept.sealed, kept.records, kept.policy, kept.keyset, kept.newest, "nsec3")

    assert await server.ask("nowhere.example.com.") is Outcome.REFUSED
    assert len(server.house.proofs) == 0

    server.house.rows.kept = kept
    assert await server.ask("nowhere.example.com.") is Outcome.SIGNED


@pytest.mark.parametrize(
    "said",
    [
        b"\0\0\0\5hello",
        framed(msgspec.msgpack.encode(Signed(1, ()))),
        framed(msgspec.msgpack.encode(Signed(1, (SignedJob(1),)))),
        framed(msgspec.msgpack.encode(Signed(1, (Proven(1),)))),
        framed(msgspec.msgpack.encode(Signed(2, (Proven(1, ((b"x",),)),))) + b"x"),
        framed(msgspec.msgpack.encode(Signed(1, (Proven(1, ((b"x",), (b"y",))),)))),
        framed(msgspec.msgpack.encode(Signed(1, (Proven(1, ((b"x",),)), Proven(1, ((b"x",),)))))),
    ],
)
async def test_a_signer_that_says_something_else_is_as_good_as_away(tmp_path, said):
    assert await answered(tmp_path / "signer.sock", said) is Outcome.AWAY


@pytest.mark.parametrize("sigs", [(), ((b"x",),), ((b"x",), (b"y",))])
async def test_what_comes_with_an_error_is_no_signature(tmp_path, sigs):
    said = framed(msgspec.msgpack.encode(Signed(1, (Proven(1, sigs, error="no"),))))
    assert await answered(tmp_path / "signer.sock", said) is Outcome.REFUSED


async def test_an_edition_that_comes_meanwhile_leaves_nothing_old_behind(served):
    """What was asked for the edition before is not given out for the next, though it comes later."""
    server = served()
    waiting = server.begin("coming.example.com.")
    server.house.publish(server.house.content)

    assert await waiting is Outcome.SIGNED
    again = server.house.responder.respond(query("coming.example.com.", do=True), SOMEBODY)
    assert isinstance(again, NeedSigned)


async def answered(path, said):
    """Return what becomes of a denial where the signer says *said*; nothing of it may be kept."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        server = Server(path)
        waiting = server.begin("nowhere.example.com.")
        taken, _ = await asyncio.to_thread(listening.accept)
        with taken:
            await asyncio.to_thread(taken.recv, 65536)
            taken.sendall(said)
            outcome = await asyncio.wait_for(waiting, 30)
    assert len(server.house.proofs) == 0
    await server.denials.close()
    return outcome
