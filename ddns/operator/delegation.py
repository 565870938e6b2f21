"""Homes with servers of their own, for the people who run the registry: let one leave, look at it, have it return.

Law: people are held to the rules that a home's own key is held to: the new servers are asked first, from the machine
on which the command runs, and nothing is written where one of them is not as it ought to be.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import msgspec

from ddns.delegate import changing
from ddns.delegate.changing import Home
from ddns.delegate.scanning import Checked, Scanner
from ddns.dns import ds as signer
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import BadRdata, Rdata, RRset
from ddns.dns.text import rdata_from_text
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import delegation_checks, delegations, signing
from ddns.store.delegation_checks import Check
from ddns.store.delegations import Delegation
from ddns.zone.child import Child, Fault, ServerSaid
from ddns.zone.hand import Continuity, State, Wish
from ddns.zone.wanted import Verb, Wanted

TTL = 3600  # seconds, of glue
SHOWN = 10  # looks at a home's servers that are shown


class Seen(msgspec.Struct, frozen=True):
    """All that there is to say of a home: *keys* are our DNSKEY records of it, *checks* the newest looks, first."""

    home: Home
    keys: tuple[Rdata, ...]
    checks: tuple[Check, ...]

    @property
    def who(self) -> str:
        """Return who must act for it to go on."""
        found = self.home.found
        if found is None or (found.state is State.HOSTED and found.wish is Wish.HOST):
            return "nobody"
        if found.tell or (found.theirs is not None and found.theirs.fault is not None):
            return "whoever runs the home's servers"
        return "nobody"


def read_servers(hosts: Iterable[str], glue: Iterable[str]) -> Child:
    """Return the delegation to *hosts*, with addresses as HOST=ADDRESS. Raises `CannotDo`."""
    servers = tuple(dict.fromkeys(_name(text) for text in hosts))
    addresses: dict[tuple[Name, int], list[Rdata]] = {}
    for text in glue:
        host, mark, address = text.partition("=")
        try:
            parsed = ipaddress.ip_address(address if mark else "")
        except ValueError:
            raise CannotDo(
                f"{text!r} is no address of a server; write HOST=ADDRESS, such as ns1.smith.homes.example=192.0.2.7."
            ) from None
        addresses.setdefault((_name(host), Type.A if parsed.version == 4 else Type.AAAA), []).append(parsed.packed)
    found = tuple(RRset.of(name, rdtype, TTL, rdatas) for (name, rdtype), rdatas in sorted(addresses.items()))
    return Child(tuple(sorted(servers)), found)


def read_ds(texts: Iterable[str]) -> tuple[Rdata, ...]:
    """Return DS records written as TAG ALGORITHM DIGEST-TYPE HEX. Raises `CannotDo`."""
    found = []
    for text in texts:
        try:
            found.append(rdata_from_text(Type.DS, text.encode().split(), names.ROOT))
        except (BadRdata, ValueError) as error:
            reason = f"{text!r} is no DS ({error}); write TAG ALGORITHM 2 DIGEST, as signers print it."
            raise CannotDo(reason) from None
    return tuple(sorted(set(found)))


async def find(conn: Conn, origin: Name) -> Home:
    """Return the home *origin*. Raises `CannotDo`."""
    home = await changing.find(conn, origin)
    if home is None:
        raise CannotDo(f"{names.to_text(origin)} is no home; `ddns home list` shows those there are.")
    return home


async def own_keys(conn: Conn, home: Home) -> tuple[Rdata, ...]:
    """Return the DNSKEY records by which *home* is signed here: what its own servers are to show as well."""
    return tuple(public for *_, public in await signing.keys_public(conn, home.zone))


async def ds_of(scanner: Scanner, home: Home, child: Child, ours: Sequence[Rdata]) -> tuple[Rdata, ...]:
    """Return the DS of the keys that the servers of *child* show beside *ours*, those that sign keys.

    They are believed as far as the way to them is. Raises `CannotDo`.
    """
    checked = await scanner.check(home.origin, home.registry, child, insecure=True)
    if checked.fault is not None:
        raise CannotDo(checked.fault.sentence)
    shown = {key for one in checked.said for key in one.keys} - set(ours)
    found = sorted(signer.of(home.origin, key) for key in shown if signer.is_zone_key(key) and key[1] & 1)
    if not found:
        raise CannotDo(
            f"The servers show no key of {names.to_text(home.origin)} that a DS could name; sign it there, or say "
            "--insecure."
        )
    return tuple(found)


async def check(scanner: Scanner, home: Home, child: Child, *, insecure: bool) -> Checked:
    """Ask the servers of *child* whether they are as they ought to be for *home*."""
    return await scanner.check(home.origin, home.registry, child, insecure=insecure)


async def leave(
    conn: Conn, scanner: Scanner, home: Home, child: Child, continuity: Continuity | None, by: str, now: int,
    *, insecure: bool,
) -> Checked:  # fmt: skip
    """Have *home* leave for the servers of *child*, or change them where it has left, if these are right.

    What they said is returned, and kept. *now* is in seconds since 1970. Raises `CannotDo` where it is on its way.
    """
    if home.suspended:
        name = names.to_text(home.origin)
        raise CannotDo(f"{name} is held; `ddns home show {name}` says why, and it goes nowhere before it is released.")
    verb = Verb.CHANGE if home.their is not None else Verb.LEAVE
    wanted = Wanted(verb, child, insecure)
    fault = changing.refusal(home, wanted, 0, now)
    if fault is not None:
        raise CannotDo(fault.sentence)
    checked = await check(scanner, home, child, insecure=insecure)
    async with conn.transaction():
        fault = checked.fault
        if fault is None:
            fault = await changing.write(conn, home, wanted, checked.said, by, now)
            if fault is None and continuity is not None:
                await delegations.set_continuity(conn, home.zone, continuity, now)
        if fault is not None and checked.said:
            await changing.note(conn, home.zone, by, fault, checked.said, now)
    return Checked(checked.said, fault)


async def come_home(conn: Conn, home: Home, by: str, now: int) -> bool:
    """Have *home* return; False: it is here, and nobody wished otherwise. *now* is in seconds since 1970."""
    if home.their is None:
        return False
    async with conn.transaction():
        fault: Fault | None = await changing.write(conn, home, Wanted(Verb.RETURN), (), by, now)
    if fault is not None:
        raise CannotDo(fault.sentence)
    return True


async def set_continuity(conn: Conn, home: Home, continuity: Continuity, now: int) -> None:
    """Say what is to happen while the servers of *home* are gone. Raises `CannotDo`."""
    if not await delegations.set_continuity(conn, home.zone, continuity, now):
        raise CannotDo(
            f"{names.to_text(home.origin)} has no servers of its own; say it with `ddns delegation leave --continuity`."
        )


async def look_now(conn: Conn, home: Home, now: int) -> bool:
    """Have the service visit the servers of *home* at once; False: it has none of its own."""
    return await delegations.look_soon(conn, [home.zone], now) > 0


async def show(conn: Conn, home: Home, most: int = SHOWN) -> Seen:
    """Return all that there is to say of *home*."""
    found = await delegation_checks.newest(conn, home.zone, most)
    return Seen(home, await own_keys(conn, home), tuple(found))


async def listing(conn: Conn) -> list[Delegation]:
    """Return the homes that are not simply hosted."""
    return await delegations.listing(conn)


def said_in_words(one: ServerSaid, origin: Name) -> str:
    """Return what one server said, for people."""
    if one.problem:
        return one.problem
    servers = " ".join(sorted(names.to_text(server) for server in one.servers)) or "none"
    tags = " ".join(str(signer.tag(key)) for key in sorted(one.keys)) or "none"
    more = [what for what, there in (("CDS", one.cds), ("CSYNC", one.csync)) if there is not None]
    asks = f", {' and '.join(more)}" if more else ""
    return f"serial {one.serial} of {names.to_text(origin)}, NS {servers}, keys {tags}{asks}"


def _name(text: str) -> Name:
    try:
        return names.from_text(text)
    except BadName as error:
        raise CannotDo(f"The server {text!r} is no host name: {error}.") from None
