"""Grants: the rules about which key may write which types at which names of a zone, and what they decide."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import msgspec

from ddns.auth.grants import Decision, Rules
from ddns.auth.principal import ADDRESSES, DEFAULT_ASSURANCE, RULES, Credential, Grant, Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.operator import keys, words
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.tenants import the_tenant
from ddns.operator.transfers import read_prefix
from ddns.operator.zones import the_zone
from ddns.store import grants, notify, zones
from ddns.store.zones import Zone

EVERYBODY = "*"  # as people write it where the name of a key stands
MOST_REASON = 80  # octets of a denial's reason: it travels in an extended error with the rest of the sentence
MOST_COUNT = 10_000  # records of a type at a name
MOST_NETWORKS = 64  # in a denial of addresses
# Addresses that mean nothing, or another host, where they are read (IANA's registries of special-purpose addresses).
PRIVATE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10", "ff00::/8",
)  # fmt: skip

# Unicode's categories of what has no shape of its own, or begins another line.
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SELF = ("self", "selfsub")


class Terms(msgspec.Struct, frozen=True):
    """A rule as people write it: the words of `Grant`, *name* and *rule* left out where the usual is meant.

    *types* may carry counts: `A(2)`. *addresses* are networks, *tenant* is the name of one.
    """

    rule: str | None = None
    name: str | None = None
    types: tuple[str, ...] | None = None
    min_assurance: str | None = None
    deny: str | None = None
    homes: bool = False
    addresses: tuple[str, ...] | None = None
    tenant: str | None = None


class Found(msgspec.Struct, frozen=True):
    """What holds for one key at one name and type: *credential* is one of those that have the key's name."""

    credential: Credential
    zone: Zone
    decision: Decision


def read(origin: Name, key: Name | None, terms: Terms) -> Grant:
    """Return the rule that *terms* say for the zone *origin*, without the ids of zone and tenant.

    *key* None: everybody. Raises `CannotDo`.
    """
    _check(key, terms)
    rule = terms.rule or ("zone" if terms.name is None else "subdomain")
    if rule not in RULES:
        raise CannotDo(f"The rule {rule!r} is not known; choose {', '.join(RULES)}.")
    given = None if terms.name is None else words.read_name(terms.name, "granted name")
    name = _name(origin, key, rule, given)
    if rule == "subdomain" and name == origin:
        rule = "zone"  # one rule has one spelling, so that it is known again
    types, most = (None, ()) if terms.types is None else words.read_counted_types(terms.types, MOST_COUNT)
    if rule == "acme":
        if types not in (None, {Type.TXT}):
            raise CannotDo("The rule acme is for TXT alone; leave the types out.")
        types = frozenset({int(Type.TXT)})
    if terms.types is not None and not terms.types:
        raise CannotDo("a grant of no types allows nothing; name some, or leave types out to grant all.")
    addresses = () if terms.addresses is None else _networks(terms.addresses)
    if addresses:
        if types is None:
            types = ADDRESSES
        if most or not types <= ADDRESSES:
            raise CannotDo("A denial of addresses is for A and AAAA, without numbers; leave the types out.")
    assurance = None if terms.min_assurance is None else keys.read_assurance(terms.min_assurance)
    reason = None if terms.deny is None else _reason(terms.deny)
    return Grant(0, name, types, rule, most, assurance, reason, terms.homes, addresses=addresses)


def read_key(text: str) -> Name | None:
    """Return the name of a key, or None for `*`, everybody. Raises `CannotDo`."""
    return None if text == EVERYBODY else words.read_name(text, "key name")


def _check(key: Name | None, terms: Terms) -> None:
    if terms.deny is None and key is None:
        raise CannotDo("Everybody (*) can only be denied something; grant it to a key.")
    if terms.homes and key is not None:
        raise CannotDo("A denial in all homes binds everybody; write * for the key.")
    if terms.homes and terms.deny is None:
        raise CannotDo("Only denials can be for all homes; a grant is given home by home.")
    if terms.rule == "within" and not terms.homes:
        raise CannotDo("The rule within speaks of names in each home; say --homes, and deny.")
    if terms.addresses is not None and (terms.deny is None or terms.rule == "acme"):
        raise CannotDo("Only denials can be of addresses; a grant gives a type with all of them.")
    if terms.tenant is not None and not terms.homes:
        raise CannotDo("Only denials for homes can be for those of one tenant; say --homes.")


def _networks(texts: Sequence[str]) -> tuple[str, ...]:
    """Return networks in their usual spelling and one order; `private` stands for those that are nobody's alone."""
    found = {
        str(one) for text in texts for one in (PRIVATE if text.strip() == "private" else [read_prefix(text.strip())])
    }
    if not 0 < len(found) <= MOST_NETWORKS:
        raise CannotDo(f"A denial of addresses names 1 to {MOST_NETWORKS} networks, not {len(found)}.")
    return tuple(sorted(found))


def _name(origin: Name, key: Name | None, rule: str, given: Name | None) -> Name:
    if rule == "zone" or rule in _SELF:
        if given is not None:
            raise CannotDo(f"The rule {rule} says by itself which names it means; leave the name out.")
        if key is None or rule == "zone":
            return origin
        given = key
    elif given is None:
        if rule != "acme":
            raise CannotDo(f"The rule {rule} needs a name.")
        return origin
    if rule == "within":
        return _within(origin, given)
    if rule == "wildcard":
        if not names.is_wildcard(given):
            raise CannotDo(
                f"{names.to_text(given)} is no pattern; begin it with *. as in *.lab.{names.to_text(origin)}"
            )
        within(origin, names.parent(given))
    return within(origin, given)


def _within(origin: Name, name: Name) -> Name:
    """Return the *name* of a rule `within`, given as if each home were the zone *origin*. Raises `CannotDo`."""
    if name == origin:
        raise CannotDo("The rule within needs a name below the zone's, such as lock.ZONE; for all of a home use zone.")
    first, *rest = names.labels(within(origin, name))
    if b"*" in first[:-1] or any(b"*" in one for one in rest[: -names.count_labels(origin) or None]):
        raise CannotDo(f"{names.to_text(name)}: an asterisk stands only at the end of the first label, as in lock-*.")
    return name


def within(origin: Name, name: Name) -> Name:
    """Return *name*. Raises `CannotDo` where it is outside of the zone *origin*."""
    if not names.is_subdomain(name, origin):
        raise CannotDo(f"{names.to_text(name)} is outside the zone {names.to_text(origin)}; grant a name in it.")
    return name


def _reason(text: str) -> str:
    if any(unicodedata.category(letter) in _UNSHOWN for letter in text):
        raise CannotDo("The reason of a denial is one line of text without control characters.")
    reason = text.strip()
    if not 0 < len(reason.encode()) <= MOST_REASON:
        raise CannotDo(f"A denial needs its reason, 1 to {MOST_REASON} octets: the refused will read it.")
    return reason


async def add(conn: Conn, key: Name | None, origin: Name, terms: Terms) -> tuple[bool, Grant]:
    """Make the rule *terms* in the zone *origin* for *key*, None: everybody; tell whether it is new, and the rule.

    Raises `CannotDo`.
    """
    zone = await the_zone(conn, origin)
    rule = read(origin, key, terms)
    tenant = None if terms.tenant is None else (await the_tenant(conn, terms.tenant)).id
    rule = msgspec.structs.replace(rule, zone=zone.id, tenant=tenant)
    async with conn.transaction():
        if key is None:
            return await grants.insert(conn, None, rule), rule
        new = 0
        for one in await keys.named(conn, key):
            if one.invitation is not None:
                raise CannotDo(f"{names.to_text(key)} is an invitation: it allows one enrolment and nothing else.")
            new += await grants.insert(conn, one.id, rule)
        await notify.keys(conn, key)
    return new > 0, rule


async def remove(conn: Conn, key: Name | None, origin: Name, terms: Terms) -> int:
    """Take back the rules of *key* (None: everybody) on a zone, only those like *terms* where they say something.

    Return how many. Raises `CannotDo` where there is none.
    """
    zone = await the_zone(conn, origin)
    name = None if terms.name is None else words.read_name(terms.name, "granted name")
    types = None if terms.types is None else words.read_counted_types(terms.types, MOST_COUNT)
    async with conn.transaction():
        found = [
            one.id
            for one in await grants.listing(conn, zone.id)
            if one.key == key
            and not one.by_policy
            and name in (None, one.grant.name)
            and types in (None, (one.grant.types, one.grant.most))
            and terms.rule in (None, one.grant.rule)
        ]
        for one in found:
            await grants.remove(conn, one)
        if key is not None:
            await notify.keys(conn, key)
    if not found:
        who = "There is" if key is None else f"The key {names.to_text(key)} has"
        raise CannotDo(f"{who} no such grant on {names.to_text(origin)}; `ddns grant list` shows those there are.")
    return len(found)


async def remove_number(conn: Conn, number: int) -> grants.Listed:
    """Take back the rule of this number and return it. Raises `CannotDo` where there is none."""
    async with conn.transaction():
        found = await the_rule(conn, number)
        await grants.remove(conn, number)
        if found.key is not None:
            await notify.keys(conn, found.key)
    return found


async def the_rule(conn: Conn, number: int) -> grants.Listed:
    """Return the rule of this number. Raises `CannotDo` where there is none."""
    found = await grants.get(conn, number)
    if found is None:
        raise CannotDo(f"There is no rule {number}; `ddns grant list` shows those there are.")
    return found


async def listing(conn: Conn, origin: Name | None = None) -> list[grants.Listed]:
    """Return the grants by key and zone, all or those on one zone. Raises `CannotDo`."""
    return await grants.listing(conn, None if origin is None else (await the_zone(conn, origin)).id)


async def holding(conn: Conn, name: Name) -> Zone:
    """Return the zone here that holds *name*: of those above it the nearest. Raises `CannotDo`."""
    for origin in names.suffixes(name):
        zone = await zones.find(conn, origin)
        if zone is not None:
            return zone
    raise CannotDo(f"No zone here holds {names.to_text(name)}; `ddns zone list` shows those there are.")


async def check(conn: Conn, key: Name, name: Name, rdtype: int, origin: Name | None = None) -> list[Found]:
    """Tell for each live credential called *key* whether it may write *rdtype* (ANY: the whole name) at *name*.

    *origin* is the zone to be asked, None: the nearest above *name*. Raises `CannotDo`.
    """
    zone = await holding(conn, name) if origin is None else await the_zone(conn, origin)
    within(zone.origin, name)
    everybody = (await grants.for_everybody(conn, [zone.id])).get(zone.id, ())
    return [
        Found(one, zone, Rules(one, zone.id, zone.origin, is_home=zone.home, everybody=everybody).decide(name, rdtype))
        for one in await keys.named(conn, key)
    ]


async def add_acme(
    conn: Conn,
    sealer: Sealer,
    key: Name,
    algorithm: str,
    secret: Secret,
    hosts: Sequence[Name],
    assurance: str = DEFAULT_ASSURANCE,
    ends: int | None = None,
) -> list[tuple[Name, Grant]]:
    """Make a TSIG key that may write `_acme-challenge` TXT of *hosts* and what is below them, and nothing else.

    It is revoked by itself at *ends*, in seconds since 1970. Return the zones and the rules. Raises `CannotDo`.
    """
    made = []
    async with conn.transaction():
        if await keys.add_tsig(conn, sealer, key, algorithm, secret, assurance, ends):
            raise CannotDo(
                f"{names.to_text(key)} is the name of a home, and its keys may write all of it; "
                f"call this one acme.{names.to_text(key)} or the like."
            )
        (credential,) = [one for one in await keys.named(conn, key) if one.kind == "tsig"]
        for host in dict.fromkeys(hosts):
            zone = await holding(conn, host)
            rule = Grant(zone.id, host, frozenset({int(Type.TXT)}), "acme")
            await grants.insert(conn, credential.id, rule)
            made.append((zone.origin, rule))
        await notify.keys(conn, key)
    return made
