"""NOTIFY out of a real database to real sockets (RFC 1996)."""

from __future__ import annotations

import asyncio
import socket
import time

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from secondary import KEY, KEYS, Primary, until

from ddns.dns import names
from ddns.store import notify, transfers, zones
from ddns.store.transfers import NewTarget
from ddns.transfers import notifier
from ddns.transfers.limits import TransferLimits
from ddns.transfers.notifier import Notifier

ORIGIN = names.from_text("homes.example.")
HOME = names.from_text("smith", ORIGIN)


@pytest.fixture(autouse=True)
def once(monkeypatch):
    """Tell nobody the same twice, but where a test wants that: the others count what is heard."""
    monkeypatch.setattr(notifier, "AGAIN", 3600.0)


class Secondary(asyncio.DatagramProtocol):
    """What is told; it answers as *answers* says, one after another, the last one for ever: None is silence."""

    def __init__(self, *answers: dns.rcode.Rcode | None, key: str | None = None) -> None:
        self.answers = list(answers) or [dns.rcode.NOERROR]
        self.key = key
        self.heard: list[dns.message.Message] = []
        self.port = 0

    async def listen(self) -> Secondary:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        return self

    def datagram_received(self, data: bytes, addr) -> None:
        message = dns.message.from_wire(data, keyring=KEYS[self.key] if self.key else False)
        self.heard.append(message)
        rcode = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if rcode is not None:
            reply = dns.message.make_response(message)
            reply.set_rcode(rcode)
            self.transport.sendto(reply.to_wire(), addr)

    def serials(self) -> list[int]:
        return [message.answer[0][0].serial for message in self.heard]


class Registry(Primary):
    """A primary with one or more processes that would send NOTIFY."""

    def __init__(self, dsn_for, admin, processes: int = 1, **limits) -> None:
        super().__init__(dsn_for, admin)
        self.notifiers = [
            Notifier(
                dsn=dsn_for("ddns_server"),
                keyring=self.keyring,
                changed=self.transfers.reload,
                limits=TransferLimits(**{"wait": 3.0, **limits}),
                clock=time.time,
            )
            for _ in range(processes)
        ]

    async def __aexit__(self, *error: object) -> None:
        for one in self.notifiers:
            await one.close()
        await super().__aexit__(*error)

    def start(self) -> None:
        for one in self.notifiers:
            one.start()

    async def tell(self, zone: int, port: int, *, homes: bool = False, key: bytes | None = None) -> None:
        async with self.admin.transaction():
            await transfers.put_targets(self.admin, [NewTarget(zone, homes, "127.0.0.1", port, key)])
            await transfers.tell(self.admin)

    async def change(self, zone: int) -> int:
        serial = await self.publish(zone, (), ())
        await notify.zones(self.admin, [(zone, (await zones.get(self.admin, [zone]))[zone].edition)])
        return serial

    async def noted(self, serial: int, rcode: int | None = 0) -> transfers.Notified:
        """Return how the NOTIFY of *serial* ended, as soon as it has."""

        async def there() -> transfers.Notified | None:
            found = await transfers.notified(self.admin)
            return next((one for one in found if (one.serial, one.rcode) == (serial, rcode)), None)

        return await until(there)


async def test_a_notify_is_as_the_standard_has_it(dsn_for, admin):
    """QR 0, opcode NOTIFY, AA, the question for the SOA, and the new SOA as the answer (RFC 1996 §3.7, §4.5)."""
    async with Registry(dsn_for, admin) as registry:
        zone = await registry.add(ORIGIN, [], serial=7)
        listener = await Secondary().listen()
        registry.start()
        await registry.tell(zone, listener.port)

        await registry.noted(7)
        await registry.noted(await registry.change(zone))

        assert listener.serials() == [7, 8]
        message = listener.heard[1]
        assert message.opcode() == dns.opcode.NOTIFY
        assert message.flags == dns.flags.AA | dns.opcode.to_flags(dns.opcode.NOTIFY)
        assert [(str(one.name), one.rdtype) for one in message.question] == [("homes.example.", dns.rdatatype.SOA)]
        assert len({one.id for one in listener.heard}) == 2
        listener.transport.close()


async def test_what_was_answered_is_told_once_more(dsn_for, admin, monkeypatch):
    """The worker that the secondary asked may not have shown the change yet: it would wait for the SOA's refresh."""
    monkeypatch.setattr(notifier, "AGAIN", 0.3)
    async with Registry(dsn_for, admin) as registry:
        zone = await registry.add(ORIGIN, [], serial=7)
        listener = await Secondary().listen()
        registry.start()
        await registry.tell(zone, listener.port)

        await until(lambda: listener.serials() == [7, 7])
        await registry.change(zone)

        await until(lambda: listener.serials() == [7, 7, 8, 8])
        await asyncio.sleep(4 * notifier.AGAIN)
        assert listener.serials() == [7, 7, 8, 8]
        listener.transport.close()


async def test_who_refused_is_told_the_same_no_more(dsn_for, admin, monkeypatch):
    monkeypatch.setattr(notifier, "AGAIN", 0.1)
    async with Registry(dsn_for, admin) as registry:
        zone = await registry.add(ORIGIN, [], serial=7)
        listener = await Secondary(dns.rcode.REFUSED).listen()
        registry.start()
        await registry.tell(zone, listener.port)

        await registry.noted(7, dns.rcode.REFUSED)
        await asyncio.sleep(5 * notifier.AGAIN)

        assert listener.serials() == [7]
        listener.transport.close()


async def test_what_is_not_answered_is_sent_again_with_the_newest_serial(dsn_for, admin):
    async with Registry(dsn_for, admin) as registry:
        zone = await registry.add(ORIGIN, [], serial=7)
        listener = await Secondary(None, None, dns.rcode.NOERROR).listen()
        await registry.tell(zone, listener.port)
        registry.start()
        await until(lambda: listener.heard)

        serial = await registry.change(zone)

        noted = await registry.noted(serial)
        assert noted.tries == 3
        assert listener.serials()[0] == 7
        assert listener.serials()[-1] == serial
        listener.transport.close()


async def test_a_secondary_that_never_answers_is_left_alone_until_the_next_change(dsn_for, admin):
    async with Registry(dsn_for, admin, tries=2, wait=0.05) as registry:
        zone = await registry.add(ORIGIN, [], serial=7)
        listener = await Secondary(None).listen()
        await registry.tell(zone, listener.port)
        registry.start()

        assert (await registry.noted(7, None)).tries == 2
        assert listener.serials() == [7, 7]

        await registry.change(zone)
        assert (await registry.noted(8, None)).tries == 2
        assert listener.serials() == [7, 7, 8, 8]
        listener.transport.close()


async def test_what_was_given_up_is_tried_again_by_the_next_comparison(dsn_for, admin):
    async with Registry(dsn_for, admin, tries=1, wait=0.05) as registry:
        zone = await registry.add(ORIGIN, [], serial=7)
        listener = await Secondary(None, dns.rcode.NOERROR).listen()
        await registry.tell(zone, listener.port)
        registry.start()
        await registry.noted(7, None)

        registry.notifiers[0]._compare()

        await registry.noted(7)
        listener.transport.close()


async def test_a_burst_of_changes_is_told_in_few_messages(dsn_for, admin):
    """At most one is under way, and what changes within the delay is told with it."""
    async with Registry(dsn_for, admin) as registry:
        zone = await registry.add(ORIGIN, [], serial=1)
        listener = await Secondary().listen()
        await registry.tell(zone, listener.port)
        registry.start()
        await registry.noted(1)

        for _ in range(40):
            last = await registry.change(zone)
        await registry.noted(last)

        assert listener.serials()[-1] == 41
        assert len(listener.heard) < 20
        listener.transport.close()


async def test_an_answer_with_an_error_ends_it_and_is_remembered(dsn_for, admin):
    async with Registry(dsn_for, admin) as registry:
        zone = await registry.add(ORIGIN, [], serial=7)
        listener = await Secondary(dns.rcode.NOTAUTH).listen()
        await registry.tell(zone, listener.port)
        registry.start()

        assert (await registry.noted(7, dns.rcode.NOTAUTH)).tries == 1
        listener.transport.close()


async def test_answers_of_others_are_nobodys(dsn_for, admin):
    """An answer counts from the address and port that were told, with id and zone as sent (RFC 1996 §3.6)."""
    async with Registry(dsn_for, admin, wait=10.0) as registry:
        zone = await registry.add(ORIGIN, [], serial=7)
        listener = await Secondary(None).listen()
        await registry.tell(zone, listener.port)
        registry.start()
        await until(lambda: listener.heard)
        (flight,) = registry.notifiers[0]._under_way.values()
        sent = listener.heard[0]
        port = registry.notifiers[0]._sockets[4].get_extra_info("sockname")[1]
        reply = dns.message.make_response(sent).to_wire()

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(reply, ("127.0.0.1", port))
        listener.transport.sendto(bytes((reply[0] ^ 1,)) + reply[1:], ("127.0.0.1", port))
        listener.transport.sendto(reply.replace(b"homes", b"other"), ("127.0.0.1", port))
        listener.transport.sendto(sent.to_wire(), ("127.0.0.1", port))
        listener.transport.sendto(b"short", ("127.0.0.1", port))
        await asyncio.sleep(0.1)
        assert list(registry.notifiers[0]._under_way.values()) == [flight]

        listener.transport.sendto(reply, ("127.0.0.1", port))
        await registry.noted(7)
        listener.transport.close()


async def test_a_notify_with_a_key_is_signed_and_believes_only_a_signed_answer(dsn_for, admin, monkeypatch):
    async with Registry(dsn_for, admin, tries=2, wait=1.0) as registry:
        zone = await registry.add(ORIGIN, [], serial=7)
        good, plain = await Secondary(key="secondary.").listen(), await Secondary(key="secondary.").listen()
        monkeypatch.setattr(
            plain, "datagram_received", lambda data, addr: plain.transport.sendto(data[:2] + b"\xa4\0" + bytes(8), addr)
        )
        await registry.tell(zone, good.port, key=KEY)
        await registry.tell(zone, plain.port, key=KEY)
        registry.start()

        await registry.noted(7)
        await registry.noted(7, None)

        assert good.heard[0].had_tsig
        ended = {one.target: one.rcode for one in await transfers.notified(admin)}
        ports = {one.id: one.port for one in await transfers.targets(admin)}
        assert {ports[target]: rcode for target, rcode in ended.items()} == {good.port: 0, plain.port: None}
        good.transport.close()
        plain.transport.close()


async def test_homes_are_told_of_by_the_rule_on_their_registrys_zone(dsn_for, admin):
    async with Registry(dsn_for, admin) as registry:
        zone = await registry.add(ORIGIN, [], serial=1)
        home = await registry.add(HOME, [], serial=5, parent=zone)
        listener = await Secondary().listen()
        await registry.tell(zone, listener.port, homes=True)
        registry.start()

        await registry.noted(5)
        await registry.noted(await registry.change(home))

        assert {str(one.question[0].name) for one in listener.heard} == {"smith.homes.example."}
        assert listener.serials() == [5, 6]
        listener.transport.close()


async def test_one_process_sends_and_another_takes_over(dsn_for, admin, monkeypatch):
    monkeypatch.setattr(notifier, "FOLLOW", 0.1)
    async with Registry(dsn_for, admin, processes=3) as registry:
        zone = await registry.add(ORIGIN, [], serial=1)
        listener = await Secondary().listen()
        await registry.tell(zone, listener.port)
        registry.start()
        await registry.noted(1)
        assert listener.serials() == [1]

        sender = next(one for one in registry.notifiers if one._sockets)
        await sender.close()
        serial = await registry.change(zone)

        await registry.noted(serial)
        assert listener.serials() == [1, serial]
        listener.transport.close()


async def test_a_target_that_is_removed_is_told_no_more(dsn_for, admin):
    async with Registry(dsn_for, admin, wait=0.05, tries=50) as registry:
        zone = await registry.add(ORIGIN, [], serial=1)
        listener = await Secondary(None).listen()
        await registry.tell(zone, listener.port)
        registry.start()
        await until(lambda: listener.heard)

        await transfers.remove_targets(admin, [one.id for one in await transfers.targets(admin)])

        await until(lambda: not registry.notifiers[0]._under_way)
        assert not registry.notifiers[0]._by_place
        listener.transport.close()


async def test_a_secondary_that_is_away_keeps_nobody_else_from_being_told(dsn_for, admin, monkeypatch):
    """Only probes go to it; when it answers one, it is told of all that it has missed."""
    monkeypatch.setattr(notifier, "SILENT", 2)
    monkeypatch.setattr(notifier, "PROBES", 1)
    async with Registry(dsn_for, admin, tries=3, wait=0.05) as registry:
        zone = await registry.add(ORIGIN, [], serial=1)
        homes = [await registry.add(names.from_text(f"h{number}", ORIGIN), [], parent=zone) for number in range(30)]
        away, here = await Secondary(None).listen(), await Secondary().listen()
        await registry.tell(zone, away.port)
        registry.start()
        await until(lambda: len(away.heard) >= 3)
        await registry.tell(zone, away.port, homes=True)
        await registry.tell(zone, here.port, homes=True)

        await until(lambda: len({one.question[0].name for one in here.heard}) == len(homes))
        assert registry.notifiers[0]._to[("127.0.0.1", away.port)] <= 1
        await until(lambda: not registry.notifiers[0]._to)
        away.answers = [dns.rcode.NOERROR]

        async def all_told() -> bool:
            found = await transfers.notified(admin)
            return sum(one.rcode == 0 for one in found) == 2 * len(homes) + 1

        registry.notifiers[0]._compare()
        await until(all_told)
        away.transport.close()
        here.transport.close()
