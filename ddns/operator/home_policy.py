"""What a tenant asks of its homes in one of the registry's zones: shown and changed as data.

Kinds of devices, types of records and networks of addresses are denials among the grants, written and taken back here,
so that updates have one judge. Each such rule says in its origin what of the policy it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.names import Name
from ddns.homes import policies, tables
from ddns.homes.tables import TABLES, Span, Table
from ddns.operator import grants, home_policy_words, words
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.grants import Terms
from ddns.operator.zones import the_zone
from ddns.store import grants as stored
from ddns.store import home_policies, tenants
from ddns.store.home_policies import HomePolicy
from ddns.store.zones import Zone

TYPES, ADDRESSES, KIND = "types", "addresses", "kind:"
RULES = (TYPES, ADDRESSES)  # settings that are denials
MOST_KINDS = 64
MOST_PATTERNS = 16  # of labels of one kind
MOST_SPANS = 500


class Kind(msgspec.Struct, frozen=True):
    """A kind of device, known by the *labels* of its names in each home, which takes keys of *least* or more."""

    name: str
    labels: tuple[str, ...]
    least: str


class Shown(msgspec.Struct, frozen=True):
    """A policy as people look at it, with what of it are denials: types, with counts, and networks, as written."""

    zone: Name
    tenant: int
    policy: HomePolicy
    kinds: tuple[Kind, ...]
    types: tuple[str, ...]
    addresses: tuple[str, ...]


async def _place(conn: Conn, tenant: int, zone: Name) -> Zone:
    found = await the_zone(conn, zone)
    if not await tenants.may_have_homes(conn, tenant, found.id):
        raise CannotDo(f"The tenant has no homes in {names.to_text(zone)}; allow it with `ddns tenant allow`.")
    return found


async def show(conn: Conn, tenant: int, zone: Name) -> Shown:
    """Return the policy of *tenant* (its id) for its homes in the registry's *zone*. Raises `CannotDo`."""
    found = await _place(conn, tenant, zone)
    rules = await stored.of_policy(conn, tenant, found.id)
    kinds: dict[str, list[Grant]] = {}
    for origin, rule in rules:
        if origin.startswith(KIND):
            kinds.setdefault(origin.removeprefix(KIND), []).append(rule)
    return Shown(
        zone,
        tenant,
        await home_policies.of(conn, tenant, found.id),
        tuple(
            Kind(name, tuple(_below(zone, one.name) for one in mine), mine[0].min_assurance or "")
            for name, mine in sorted(kinds.items())
        ),
        tuple(text for origin, rule in rules if origin == TYPES for text in words.types_as_written(rule)),
        tuple(one for origin, rule in rules if origin == ADDRESSES for one in rule.addresses),
    )


def _below(zone: Name, name: Name) -> str:
    return names.to_text(name[: len(name) - len(zone)] + names.ROOT).rstrip(".")


async def change(conn: Conn, tenant: int, zone: Name, wanted: Mapping[str, object]) -> bool:
    """Change what is *wanted* of a policy, words of it and of `RULES`; tell whether that changed anything.

    What homes are already stays as it is; what they write from now on is judged by it. Raises `CannotDo`.
    """
    async with conn.transaction():
        found = await _place(conn, tenant, zone)
        before = await home_policies.of(conn, tenant, found.id)
        after = home_policy_words.changed(before, {key: one for key, one in wanted.items() if key not in RULES})
        known = TABLES if all(one in TABLES for one in after.idn) else await policies.tables(conn, tenant)
        for one in after.idn:
            if one not in known:
                raise CannotDo(f"There is no table of letters {one}; there are {', '.join(sorted(known))}.")
        if after != before:
            await home_policies.put(conn, tenant, found.id, after)
        moved = [await _set_rules(conn, tenant, found, key, _terms(key, wanted[key])) for key in RULES if key in wanted]
    return after != before or any(moved)


def _terms(key: str, value: object) -> list[Terms]:
    if value == home_policy_words.USUAL:
        return []
    texts = home_policy_words.read_list(key, value)
    if not texts:
        return []
    if key == ADDRESSES:
        return [Terms(deny="this registry takes no such addresses", homes=True, addresses=texts)]
    counted = tuple(one for one in texts if "(" in one)
    plain = tuple(one for one in texts if "(" not in one)
    rules = [Terms(types=plain, deny="this registry takes no such records", homes=True)] if plain else []
    if counted:
        rules.append(Terms(types=counted, deny="this registry takes no more of them", homes=True))
    return rules


async def _set_rules(conn: Conn, tenant: int, zone: Zone, origin: str, wanted: Sequence[Terms]) -> bool:
    """Have just the rules *wanted* of this *origin*; tell whether that changed anything."""
    new = {
        msgspec.structs.replace(grants.read(zone.origin, None, terms), zone=zone.id, tenant=tenant) for terms in wanted
    }
    held = {rule.terms: rule.id for its, rule in await stored.of_policy(conn, tenant, zone.id) if its == origin}
    for rule, number in held.items():
        if rule not in new:
            await stored.remove(conn, number)
    await stored.insert_all(conn, [(None, rule) for rule in sorted(new - set(held), key=lambda one: one.name)], origin)
    return new != set(held)


# -- kinds of devices


async def put_kind(conn: Conn, tenant: int, zone: Name, kind: Kind) -> bool:
    """Have names like *kind*'s take only keys of its assurance, in every home; tell whether that changed anything.

    A label may end in an asterisk; `lock` means `lock` and all below it in each home. Raises `CannotDo`.
    """
    home_policy_words.read_table_name(kind.name)
    if not 0 < len(kind.labels) <= MOST_PATTERNS:
        raise CannotDo(f"A kind of device is known by 1 to {MOST_PATTERNS} labels; name some, such as lock,lock-*.")
    terms = [
        Terms(
            "within", f"{label}.{names.to_text(zone)}", None, kind.least,
            f"{kind.name} needs {kind.least} keys", homes=True,
        )
        for label in kind.labels
    ]  # fmt: skip
    async with conn.transaction():
        found = await _place(conn, tenant, zone)
        there = {origin for origin, _ in await stored.of_policy(conn, tenant, found.id) if origin.startswith(KIND)}
        if len(there | {KIND + kind.name}) > MOST_KINDS:
            raise CannotDo(f"There are {MOST_KINDS} kinds of devices, as many as there may be; remove one of them.")
        return await _set_rules(conn, tenant, found, KIND + kind.name, terms)


async def remove_kind(conn: Conn, tenant: int, zone: Name, name: str) -> None:
    """Forget a kind of device. Raises `CannotDo` where there is none of that name."""
    async with conn.transaction():
        found = await _place(conn, tenant, zone)
        if not await _set_rules(conn, tenant, found, KIND + name, ()):
            raise CannotDo(f"There is no kind of device {name}; `ddns policy show` has those there are.")


# -- letters


async def reserve(conn: Conn, tenant: int, zone: Name, labels: Sequence[str], *, free: bool = False) -> bool:
    """Keep *labels* back, patterns with `*`, or give them *free* again; tell whether that changed anything.

    Raises `CannotDo`.
    """
    async with conn.transaction():
        found = await _place(conn, tenant, zone)
        held = (await home_policies.of(conn, tenant, found.id)).reserved
        meant = home_policy_words.changed(HomePolicy(), {"reserved": list(labels)}).reserved
        wanted = [one for one in held if one not in meant] if free else [*held, *meant]
        return await change(conn, tenant, zone, {"reserved": wanted or home_policy_words.NONE})


async def letters(conn: Conn, tenant: int) -> dict[str, Table]:
    """Return the tables of letters that a tenant may use, by name."""
    return await policies.tables(conn, tenant)


def read_spans(lines: Sequence[str]) -> tuple[Span, ...]:
    """Return the code points of a table: `U+0061..U+007A`, `U+00DF` or `ß` a line, what follows # left out.

    Raises `CannotDo`.
    """
    spans = []
    for number, line in enumerate(lines, 1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        first, _, last = text.partition("..")
        try:
            span = _point(first), _point(last or first)
        except ValueError:
            raise CannotDo(f"Line {number}: {text!r} is no code point; write U+00E0..U+00F6, U+00DF or ß.") from None
        if span[0] > span[1]:
            raise CannotDo(f"Line {number}: {text!r} ends before it begins; write the smaller code point first.")
        spans.append(span)
        if len(spans) > MOST_SPANS:
            raise CannotDo(f"A table has at most {MOST_SPANS} ranges; join those that meet.")
    if not spans:
        raise CannotDo("The table has no letters; write some, such as U+00E0..U+00F6.")
    found = tables.joined(spans)
    if tables.mixes(found):
        mixed = ", ".join(tables.scripts(found))
        raise CannotDo(f"The table mixes scripts ({mixed}), which look alike; make a table of each.")
    return found


def _point(text: str) -> int:
    text = text.strip()
    point = ord(text) if len(text) == 1 else int(text.upper().removeprefix("U+"), 16)
    if not 0 <= point <= 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        raise ValueError(text)
    return point


async def put_letters(conn: Conn, tenant: int, name: str, spans: Sequence[Span]) -> None:
    """Make a table of letters, or make it anew. Raises `CannotDo`."""
    if home_policy_words.read_table_name(name) in TABLES:
        raise CannotDo(f"The table {name} comes with this program; give yours another name.")
    async with conn.transaction():
        await home_policies.put_table(conn, tenant, name, spans)


async def remove_letters(conn: Conn, tenant: int, name: str) -> None:
    """Remove a table of letters that no policy uses. Raises `CannotDo`."""
    if name in TABLES:
        raise CannotDo(f"The table {name} comes with this program; leave it out of a policy's idn instead.")
    async with conn.transaction():
        if await home_policies.users_of_table(conn, tenant, name):
            raise CannotDo(f"A policy takes the letters of {name}; take it out there first, with ddns policy set.")
        if not await home_policies.remove_table(conn, tenant, name):
            raise CannotDo(f"There is no table of letters {name}; `ddns policy idn list` shows those there are.")
