"""Signing policies: list, show, set and remove them, and say which zone is signed by which.

Law: a zone's keys are never changed here. Signers look at them because of what is written here, and roll.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from psycopg import errors

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator import policy_words
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.zones import locked
from ddns.store import notify, policies
from ddns.store.policies import DEFAULT, FIELDS, HOME, OF_SIGNATURES, Policy

MOST_POLICIES = 1000
MOST_SHOWN = 20  # zones of a policy that are named


class Listed(msgspec.Struct, frozen=True):
    """A policy, and how many zones it is for; of these *some* are named."""

    policy: Policy
    zones: int
    some: tuple[Name, ...] = ()


class Set(msgspec.Struct, frozen=True):
    """What became of a policy: *state* is `added`, `changed` or `unchanged`.

    *changes* are the keys that have another value, with it as it was and as it is, in words. *looks*: signers look at
    the keys of all its zones because of them.
    """

    policy: Policy
    state: str
    changes: Mapping[str, tuple[str, str]] = {}
    looks: bool = False


class Used(msgspec.Struct, frozen=True):
    """Which policy a zone had *before* and has *after*, by their names; *changed* tells whether that is another one."""

    before: str
    after: str
    changed: bool


async def listing(conn: Conn) -> list[Listed]:
    """Return all policies."""
    async with conn.transaction():
        found = await policies.listing(conn)
        users = await policies.users(conn)
    return [Listed(one, users.get(one.name, 0)) for one in found]


async def show(conn: Conn, name: str) -> Listed:
    """Return the policy *name*. Raises `CannotDo` where there is none."""
    async with conn.transaction():
        found = {one.name: one for one in await policies.listing(conn)}
        if name not in found:
            raise _unknown(name)
        users = await policies.users(conn)
        some = await policies.zones_of(conn, name, MOST_SHOWN)
    return Listed(found[name], users.get(name, 0), tuple(some))


def _unknown(name: str) -> CannotDo:
    return CannotDo(f"There is no signing policy {name!r}; `ddns signing list` shows those there are.")


async def put(
    conn: Conn, wanted: Mapping[str, Mapping[str, policy_words.Value]], *, dry_run: bool = False
) -> list[Set]:
    """Bring policies to what is *wanted* of each: one that is not there is made, what is not mentioned stays.

    Raises `CannotDo`; then none is changed.
    """
    if not wanted:
        return []
    async with conn.transaction():
        held = {one.name: one for one in await policies.listing(conn)} if dry_run else await policies.lock(conn)
        done = [_compared(name, held.get(name), settings) for name, settings in wanted.items()]
        if len(held) + sum(1 for one in done if one.state == "added") > MOST_POLICIES:
            raise CannotDo(f"A registry has at most {MOST_POLICIES} signing policies; remove some.")
        if not dry_run:
            for one in done:
                if one.state == "added":
                    await policies.insert(conn, one.policy)
                elif one.changes:
                    await policies.change(conn, one.policy, list(one.changes), wake=one.looks)
            if any(one.looks for one in done):
                await notify.pending(conn)
    return done


def _compared(name: str, held: Policy | None, wanted: Mapping[str, policy_words.Value]) -> Set:
    before = held or Policy(policy_words.read_policy_name(name))
    try:
        after = policy_words.changed(before, wanted)
    except CannotDo as error:
        raise CannotDo(f"The signing policy {name} cannot be so. {error}") from None
    changes = {
        key: (policy_words.shown(before, key), policy_words.shown(after, key))
        for key in FIELDS
        if getattr(before, key) != getattr(after, key)
    }
    if held is None:
        return Set(after, "added", changes)
    looks = not changes.keys() <= OF_SIGNATURES
    return Set(after, "changed" if changes else "unchanged", changes, looks)


async def remove(conn: Conn, name: str) -> None:
    """Remove the policy *name*, which no zone may have. Raises `CannotDo`."""
    if name in (DEFAULT, HOME):
        raise CannotDo(
            f"The signing policy {name} is what zones have that have no other; change it with `signing set`."
        )
    try:
        async with conn.transaction():
            if name not in await policies.lock(conn):
                raise _unknown(name)
            some = await policies.zones_of(conn, name, 1)
            if some:
                raise _in_use(name, some)
            await policies.remove(conn, name)
    except errors.ForeignKeyViolation:
        raise _in_use(name, ()) from None


def _in_use(name: str, some: Sequence[Name]) -> CannotDo:
    zone = names.to_text(some[0]) if some else "a zone"
    return CannotDo(
        f"The signing policy {name} is still that of {zone}; `ddns signing show {name}` shows its zones, and "
        "`ddns signing use ZONE --default` gives one of them another."
    )


async def use(conn: Conn, origin: Name, name: str | None) -> Used:
    """Have the zone *origin* signed by the policy *name* from now on, None: by that of its kind.

    Raises `CannotDo`.
    """
    try:
        async with conn.transaction():
            if name is not None and all(one.name != name for one in await policies.listing(conn)):
                raise _unknown(name)
            zone = await locked(conn, origin)
            held = (await policies.of(conn, [zone.id])).get(zone.id)
            is_home = zone.parent is not None
            before, after = policies.effective(held, is_home=is_home), policies.effective(name, is_home=is_home)
            if before != after:
                await policies.use(conn, {zone.id: name})
                await notify.pending(conn)
            return Used(before, after, before != after)
    except errors.ForeignKeyViolation:
        raise _unknown(str(name)) from None
