"""A home whose TLSA records are guarded, on the real update path: what its gateway says, and what it is told."""

from __future__ import annotations

import craft
import dns.message
from leasing import Home

from ddns.dns import wire
from ddns.dns.codes import Type
from ddns.dns.records import RRset
from ddns.operator.change import Change, write
from ddns.store import rrsets, tlsa, zones
from ddns.zone import dane_option
from ddns.zone import update as updates
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.dane_option import Verb, Wish
from ddns.zone.request import UPDATE_LEASE

OWNER = "_443._tcp.cam"


def digest(number: int) -> str:
    """Return the digest of the key *number*, in hex."""
    return f"{number:02x}" * 32


def add(number: int, ttl: int = 300, owner: str = OWNER) -> bytes:
    return craft.add(owner, ttl, "TLSA", f"3 1 1 {digest(number)}")


def take(number: int, owner: str = OWNER) -> bytes:
    return craft.delete_record(owner, "TLSA", f"3 1 1 {digest(number)}")


def wished(verb: Verb, *numbers: int) -> bytes:
    """Return the OPT record with a wish; *numbers* are the keys whose records it names."""
    return opt(Wish(verb, frozenset(bytes.fromhex(digest(one)) for one in numbers)))


def opt(wish: Wish, lease: int = 0) -> bytes:
    """Return the OPT record with a wish, and where there is to be one with a lease (RFC 9664)."""
    options = (dane_option.pack(wish),)
    if lease:
        options += ((UPDATE_LEASE, lease.to_bytes(4, "big")),)
    return wire.opt(1232, do=False, options=options)


def told(reply: dns.message.Message) -> dict[int, str]:
    """Return the phase of each key's record, as an answer tells it."""
    for option in reply.options:
        if option.otype == dane_option.OPTION:
            return {one.data[0]: one.phase for its in dane_option.read_services(option.data) for one in its.records}
    return {}


def said(reply: dns.message.Message) -> str:
    """Return what the extended error of an answer says."""
    return "".join(option.text or "" for option in reply.options if option.otype == 15)


class Device(Home):
    """The device at `OWNER` of a home."""

    async def say(self, verb: Verb, *operations: bytes, keys: tuple[int, ...] = (), owner: str = OWNER):
        """Send an update with a wish, and return the answer."""
        needs = [] if verb in (Verb.MANAGED, Verb.REVOKE) else [craft.exists(owner, "TLSA")]
        return (await self.server.send(self.wish(verb, *operations, keys=keys, needs=needs)))[0]

    def wish(self, verb: Verb, *operations: bytes, keys: tuple[int, ...] = (), needs=()) -> bytes:
        """Return the signed octets of an update with a wish."""
        return self.sign(self.message(*operations, opt=wished(verb, *keys), needs=needs))

    async def change(self, *operations: bytes):
        return await self.say(Verb.MANAGED, *operations)

    async def state(self) -> dict[int, str]:
        """Return the phase of each key's record."""
        return told(await self.say(Verb.STATE))

    async def imports(self, *operations: bytes) -> None:
        """Have a command leave just these records at `OWNER`."""
        wanted = updates.parse(craft.message(*operations))
        rdatas = [one.rdata for one in wanted.operations]
        name = craft.name(OWNER)
        async with self.admin.transaction():
            row = (await zones.lock(self.admin, [self.zone]))[self.zone]
            before = (await rrsets.read_names(self.admin, [(self.zone, name)]))[self.zone, name][0]
            after = RRset.of(name, Type.TLSA, before.ttl, rdatas)
            await write(self.admin, [Change(row, ChangeSet((RRsetChange(name, Type.TLSA, before, after),)))], "cli")

    async def keys(self, owner: str = OWNER) -> set[int]:
        """Return the keys whose records stand there."""
        found = await rrsets.read_names(self.admin, [(self.zone, craft.name(owner))])
        return {one.rdatas[place][3] for shown in found.values() for one in shown for place in range(len(one.rdatas))}

    async def rows(self) -> list[tuple[bytes, str]]:
        """Return what is remembered: the data, and the phase."""
        found = await tlsa.read(self.admin, [(self.zone, craft.name(OWNER))])
        return [(pin.rdata[3:4], str(pin.phase)) for pins in found.values() for pin in pins]
