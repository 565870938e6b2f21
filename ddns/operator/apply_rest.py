"""Bring what is not zones and keys to what a registry file says: tenants, policies, bonds, verifiers, webhooks.

All of it is one transaction, which a dry run takes back.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator

import msgspec

from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.operator import apply_people, apply_vendors, apply_webhooks
from ddns.operator.applied import Action, Applied
from ddns.operator.apply_people import REGISTRY, WantedPolicy, WantedTenant
from ddns.operator.change import Conn
from ddns.operator.registry_file import Wanted


async def bring(conn: Conn, sealer: Sealer, wanted: Wanted, who: str, done: Applied, *, dry_run: bool) -> None:
    """Do what the file says of these, and note it in *done*. Raises `CannotDo`."""
    planned = {names.to_text(zone.origin) for zone in wanted.zones} if dry_run else set()
    async with conn.transaction(force_rollback=dry_run):
        both: tuple[WantedTenant | WantedPolicy, ...] = (*wanted.tenants, *wanted.home_policies)
        for one in both:
            later = bool(planned.intersection(await apply_people.missing(conn, one)))  # a dry run makes no zones
            if isinstance(one, WantedTenant):
                noun, name = "tenant", one.name
                verb = await apply_people.put_tenant(conn, msgspec.structs.replace(one, zones=()) if later else one)
            else:
                noun, name = "policy", names.to_text(one.zone)
                verb = "change" if later or await apply_people.put_policy(conn, one) else ""
            _note(done, verb, noun, name, "")
        for noun, name, tenant, work in _others(conn, sealer, wanted, who, int(time.time())):
            _note(done, await work, noun, name, "" if tenant == REGISTRY else f"of {tenant}")


def _others(
    conn: Conn, sealer: Sealer, wanted: Wanted, who: str, now: int
) -> Iterator[tuple[str, str, str, Awaitable[str]]]:
    """Yield noun, name, tenant and the work for each; what is yielded is awaited before the next."""
    for bond in wanted.bonds:
        yield "bond", bond.bond.vendor, bond.tenant, apply_vendors.put_bond(conn, bond, who, now)
    for judge in wanted.verifiers:
        yield "verifier", judge.verifier.name, judge.tenant, apply_vendors.put_verifier(conn, judge, who, now)
    for hook in wanted.webhooks:
        yield "webhook", hook.url, hook.tenant, apply_webhooks.put_webhook(conn, sealer, hook)


def _note(done: Applied, verb: str, noun: str, name: str, detail: str) -> None:
    if verb:
        done.actions.append(Action(verb, noun, name, detail))
    else:
        done.kept[noun] += 1
