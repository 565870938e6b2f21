"""Bring a registry to what its file says: signing policies and keys first, then zones, some hundred at a time.

Law: what is so already is left alone, so a second run changes nothing; policies, keys, zones and grants that the file
does not mention stay. A zone whose file has not changed since it was applied is left alone too: what
updates have written into it since lives on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
from psycopg import errors

from ddns.auth.principal import Credential, Grant, Secret
from ddns.auth.sealing import BadSeal, Sealer
from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.zonefile import ZoneText
from ddns.operator import apply_rest, compact, transfer_rules
from ddns.operator import signing as policies_of
from ddns.operator.applied import Action, Applied
from ddns.operator.change import Change, Conn, NewZone, create, digest_of, write
from ddns.operator.fault import CannotDo
from ddns.operator.files import zone_text
from ddns.operator.registry_file import Wanted, WantedGrant, WantedZone
from ddns.operator.zones import replacement
from ddns.store import credentials, grants, homes, journal, notify, policies, signing, zones
from ddns.store.zones import Zone

AT_ONCE = 300  # zones of one transaction

Progress = Callable[[int, int], None]  # zones done, zones in all


class _Keys:
    """The live keys by name, those that the file brings among them."""

    def __init__(self) -> None:
        self.ids: dict[Name, list[int]] = {}

    def add(self, name: Name, number: int) -> None:
        self.ids.setdefault(name, []).append(number)


async def apply(
    conn: Conn,
    sealer: Sealer,
    wanted: Wanted,
    principal: str,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Applied:
    """Do what *wanted* says, or with *dry_run* only find out what that is. Raises `CannotDo`.

    Zones that were brought in before an error stay; the next run begins where this one ended.
    """
    done = Applied([], Counter(), [], list(wanted.notes))
    try:
        await _apply_policies(conn, wanted, done, dry_run=dry_run)
        keys = await _apply_keys(conn, sealer, wanted, done, dry_run=dry_run)
        there = {origin: zone for zone, origin, _edition in await zones.numbers(conn)}
        granted: dict[int, list[grants.Listed]] = {}
        if any(zone.origin in there for zone in wanted.zones):
            for one in await grants.listing(conn):
                if not (one.by_policy or one.tenant):  # what a policy wrote, or for one tenant, is not the file's
                    granted.setdefault(one.grant.zone, []).append(one)
        rules = await transfer_rules.Held.read(conn)
        for at in range(0, len(wanted.zones), AT_ONCE):
            part = wanted.zones[at : at + AT_ONCE]
            texts = [_read(zone, done) for zone in part]
            async with conn.transaction():
                run = _Part(conn, done, keys, granted, rules, dry_run=dry_run)
                await run.apply(part, texts, there, principal)
            if progress is not None:
                progress(min(at + AT_ONCE, len(wanted.zones)), len(wanted.zones))
        await apply_rest.bring(conn, sealer, wanted, principal, done, dry_run=dry_run)
    except errors.UniqueViolation:
        raise CannotDo("Somebody else changed the registry at the same moment; run the command again.") from None
    return done


def _read(zone: WantedZone, done: Applied) -> ZoneText:
    try:
        text = zone_text(zone.path, zone.origin, signed=zone.denial != "none", shown=zone.shown)
    except CannotDo as error:
        raise CannotDo(f"{zone.where}: {error}") from None
    done.notes.extend(text.warnings)
    if text.dropped:
        done.notes.append(
            f"{zone.shown}: {text.dropped} DNSSEC records of an earlier signing were left out; the zone is signed here"
        )
    return text


async def _apply_policies(conn: Conn, wanted: Wanted, done: Applied, *, dry_run: bool) -> None:
    """Bring signing policies to what the file says, and see that those are there which its zones name."""
    known = {one.name for one in await policies.listing(conn)} | wanted.policies.keys()
    for zone in wanted.zones:
        if zone.signing is not None and zone.signing not in known:
            raise CannotDo(
                f"{zone.where}: the signing policy {zone.signing} is neither in the file nor in the registry; add a "
                "[[signing]] table for it."
            )
    for one in await policies_of.put(conn, wanted.policies, dry_run=dry_run):
        if one.state == "unchanged":
            done.kept["signing"] += 1
            continue
        detail = ", ".join(f"{key} {old or 'none'} → {new or 'none'}" for key, (old, new) in one.changes.items())
        done.actions.append(Action("add" if one.state == "added" else "change", "signing", one.policy.name, detail))


async def _apply_keys(conn: Conn, sealer: Sealer, wanted: Wanted, done: Applied, *, dry_run: bool) -> _Keys:
    def opened(name: Name, sealed: bytes) -> Secret:
        try:
            return sealer.open(name, sealed)
        except BadSeal:
            return Secret(b"")  # sealed under a key that is lost: differs from what is wanted, and is replaced

    mentioned = {key.name for key in wanted.keys}
    mentioned |= {grant.key for zone in wanted.zones for grant in zone.grants or () if grant.key is not None}
    mentioned |= {
        key for zone in wanted.zones for rules in (zone.transfer, zone.transfer_homes) if rules is not None
        for key in rules.all_keys()
    }  # fmt: skip
    held = await credentials.by_names(conn, mentioned, opened)
    new: list[Credential] = []
    replaced: list[Credential | None] = []
    for place, key in enumerate(wanted.keys):
        same = next((one for one in held.get(key.name, ()) if _same(one, key)), None)
        if same is not None:
            if same.assurance == key.assurance or place not in wanted.assured:
                done.kept["key"] += 1
                continue
            done.actions.append(Action("change", "key", names.to_text(key.name), f"assurance {key.assurance}"))
            if not dry_run:
                await credentials.assure(conn, [same.id], key.assurance)
                await notify.keys(conn, key.name)
            continue
        old = next((one for one in held.get(key.name, ()) if one.kind == key.kind == "tsig"), None)
        if old is not None and place not in wanted.assured:
            key = msgspec.structs.replace(key, assurance=old.assurance)  # noqa: PLW2901 - what is not said stays
        new.append(key)
        replaced.append(old)
        detail = f"{key.kind} {key.algorithm}"
        done.actions.append(Action("change" if old else "add", "key", names.to_text(key.name), detail))
    gone = {one.id for one in replaced if one is not None}
    keys = _Keys()
    for name, found in held.items():
        for one in found:
            if one.id not in gone:
                keys.add(name, one.id)
    if dry_run:
        made = [-number for number in range(1, len(new) + 1)]
    elif new:
        # A key that is called like a home belongs to it, and goes when it goes.
        there = {home.origin: home.zone for home in await homes.listing(conn)}
        new = [msgspec.structs.replace(key, home=there.get(key.name)) for key in new]
        async with conn.transaction():
            await credentials.revoke_ids(conn, gone)
            sealed = [None if one.secret is None else sealer.seal(one.name, one.secret) for one in new]
            made = await credentials.insert_all(conn, new, sealed)
            # What the key was allowed it stays allowed with its new secret.
            await grants.insert_all(
                conn,
                [
                    (number, grant)
                    for number, old in zip(made, replaced, strict=True)
                    if old is not None
                    for grant in old.grants
                ],
            )
            await notify.keys(conn, None)
    else:
        made = []
    for key, number in zip(new, made, strict=True):
        keys.add(key.name, number)
    return keys


def _same(one: Credential, key: Credential) -> bool:
    if one.kind != key.kind:
        return False
    if key.kind == "sig0":
        return one.public == key.public
    return one.algorithm == key.algorithm and one.secret == key.secret


class _Part:
    """The zones of one transaction."""

    def __init__(
        self,
        conn: Conn,
        done: Applied,
        keys: _Keys,
        granted: dict[int, list[grants.Listed]],
        rules: transfer_rules.Held,
        *,
        dry_run: bool,
    ) -> None:
        self._rules = rules
        self._conn = conn
        self._done = done
        self._keys = keys
        self._granted = granted
        self._dry_run = dry_run

    async def apply(
        self, part: Sequence[WantedZone], texts: Sequence[ZoneText], there: dict[Name, int], principal: str
    ) -> None:
        """Bring the zones of *part* to *texts*, and their grants to what the file says; *there* has the ids by name."""
        ids = [there[one.origin] for one in part if one.origin in there]
        held = await (zones.get(self._conn, ids) if self._dry_run else zones.lock(self._conn, ids))
        files = await journal.last_files(self._conn, ids)
        new: list[NewZone] = []
        changes: list[Change] = []
        for one, text in zip(part, texts, strict=True):
            zone = held.get(there.get(one.origin, 0))
            digest = digest_of(text)
            if zone is None:
                new.append(NewZone(text, one.denial, one.algorithm, digest))
                self._act("add", one, f"{len(text.rrsets)} RRsets from {one.shown}, {one.denial}")
                continue
            change = await self._change(zone, one, text, digest, files.get(zone.id))
            if change is None:
                self._done.kept["zone"] += 1
            else:
                changes.append(change)
                self._act("change", one, f"{len(change.changes.changes)} RRsets from {one.shown}, {one.denial}")
        made: dict[Name, Zone] = {zone.origin: zone for zone in held.values()}
        if not self._dry_run:
            ids = await create(self._conn, new, principal) if new else []
            if changes:
                await write(self._conn, changes, principal)
            for number, one_new in zip(ids, new, strict=True):
                made[one_new.text.origin] = Zone(
                    number, one_new.text.origin, one_new.denial, one_new.algorithm, None, 1, 0, 0
                )
                self._done.pending += [number] * (one_new.denial != "none")
            self._done.pending += [one.zone.id for one in changes if one.zone.denial != "none"]
        await self._policies(part, made)
        await self._grants(part, made)
        await self._transfers(part, made)

    async def _policies(self, part: Sequence[WantedZone], made: dict[Name, Zone]) -> None:
        """Have zones whose tables name a signing policy signed by that."""
        asked = {one.origin: one for one in part if one.signing is not None}
        held = await policies.of(self._conn, [made[origin].id for origin in asked if origin in made])
        use: dict[int, str | None] = {}
        for origin, one in asked.items():
            zone = made.get(origin)
            is_home = zone is not None and zone.parent is not None
            before = policies.effective(None if zone is None else held.get(zone.id), is_home=is_home)
            if one.signing == before:
                self._done.kept["signing"] += 1
                continue
            self._act("change", one, f"signed by {one.signing}, not by {before}", "zone")
            if zone is not None:
                use[zone.id] = one.signing
        if use and not self._dry_run:
            await policies.use(self._conn, use)
            await notify.pending(self._conn)

    async def _change(
        self, zone: Zone, wanted: WantedZone, text: ZoneText, digest: bytes, last: bytes | None
    ) -> Change | None:
        if digest == last and (zone.denial, zone.algorithm) == (wanted.denial, wanted.algorithm):
            return None
        if wanted.denial == "none" != zone.denial and (await signing.trust(self._conn, zone.id)).leaving:
            name = names.to_text(zone.origin)
            self._done.notes.append(
                f"{wanted.where}: {name} is on its way to lose its signatures and is left as it is until then; "
                f"`zone-signer plan {name}` says when, apply the file again after that"
            )
            return None
        try:
            return await replacement(self._conn, zone, text, digest, wanted.denial, wanted.algorithm)
        except CannotDo as error:
            raise CannotDo(f"{wanted.where}: {error}") from None

    async def _grants(self, part: Sequence[WantedZone], made: dict[Name, Zone]) -> None:
        """Bring the grants of zones whose tables speak of them to what they say."""
        new: list[tuple[int | None, Grant]] = []
        gone: list[int] = []
        for wanted in part:
            if wanted.grants is None:
                continue
            zone = made.get(wanted.origin)
            number = zone.id if zone else 0
            held = {(one.credential, one.grant.terms): one for one in self._granted.get(number, ())}
            asked = {
                (key, msgspec.structs.replace(one.rule, zone=number)): one
                for one in wanted.grants
                for key in self._ids(wanted, one)
            }
            for (key, rule), one in asked.items():
                if (key, rule) in held:
                    self._done.kept["grant"] += 1
                else:
                    new.append((key, rule))
                    self._act("add", wanted, _detail(one.key, rule), "grant")
            for terms, listed in held.items():
                rule = listed.grant
                own = zone is not None and zone.home and listed.key == zone.origin and rule.denied is None
                if terms not in asked and not own:
                    gone.append(listed.id)
                    self._act("remove", wanted, _detail(listed.key, rule), "grant")
        if self._dry_run or not (new or gone):
            return
        await grants.insert_all(self._conn, new)
        for number in gone:
            await grants.remove(self._conn, number)
        await notify.keys(self._conn, None)

    async def _transfers(self, part: Sequence[WantedZone], made: dict[Name, Zone]) -> None:
        """Bring the transfer rules of zones whose tables speak of them to what they say."""
        plan = transfer_rules.Plan(self._rules)
        for wanted in part:
            zone = made.get(wanted.origin)
            for rules, below in ((wanted.transfer, False), (wanted.transfer_homes, True)):
                if rules is None:
                    continue
                for key in rules.all_keys():
                    if key not in self._keys.ids:
                        raise CannotDo(
                            f"{wanted.where}: the key {names.to_text(key)} of its transfers is neither in the file nor "
                            "in the registry; add a [[key]] table for it."
                        )
                done, kept = plan.compare(zone.id if zone else 0, rules, homes=below)
                for verb, detail in done:
                    self._act(verb, wanted, f"{'of its homes ' if below else ''}{detail}", "transfer")
                self._done.kept["transfer"] += kept
        if not self._dry_run:
            with compact.told():
                await plan.write(self._conn)

    def _ids(self, wanted: WantedZone, grant: WantedGrant) -> Sequence[int | None]:
        if grant.key is None:
            return [None]
        found = self._keys.ids.get(grant.key)
        if not found:
            raise CannotDo(
                f"{wanted.where}: the key {names.to_text(grant.key)} of a grant is neither in the file nor in the "
                "registry; add a [[key]] table for it."
            )
        return found

    def _act(self, verb: str, wanted: WantedZone, detail: str, noun: str = "zone") -> None:
        self._done.actions.append(Action(verb, noun, names.to_text(wanted.origin), detail))


def _detail(key: Name | None, rule: Grant) -> str:
    verb = "to" if rule.denied is None else "denied to"
    return f"{verb} {'everybody' if key is None else names.to_text(key)} on {names.to_text(rule.name)} ({rule.rule})"
