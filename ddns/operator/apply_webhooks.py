"""Bring webhooks to what a registry file says, known by their tenant and address; others stay as they are."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ddns.auth.principal import Secret
from ddns.auth.sealing import BadSeal, Sealer
from ddns.operator import tenants, webhooks
from ddns.operator.apply_people import REGISTRY
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.files import small_text
from ddns.store.tenancy import entered
from ddns.store.webhooks import Webhook


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    tenant: str = REGISTRY
    events: tuple[str, ...] = ()
    secret: str = ""
    secret_file: str = ""
    removed: bool = False


class WantedWebhook(msgspec.Struct, frozen=True):
    """A webhook as its table has it; *secret* None: the one that it has, or, where there is none yet, nobody's."""

    tenant: str
    url: str
    events: tuple[str, ...]
    secret: Secret | None
    removed: bool


def read_webhook(folder: Path, table: Mapping[str, Any]) -> WantedWebhook:
    """Return what a `[[webhook]]` table says; the file of its secret is looked for in *folder*. Raises `CannotDo`."""
    try:
        given = msgspec.convert(table, _Table)
    except msgspec.ValidationError as error:
        raise CannotDo(f"{error}; docs/reference/commands.md has an example.") from None
    webhooks.read_url(given.url)
    if given.secret and given.secret_file:
        raise CannotDo("A webhook has one secret; write secret or secret_file.")
    text = small_text(folder / given.secret_file) if given.secret_file else given.secret
    secret = webhooks.read_secret(text) if text else None
    events = webhooks.read_events(given.events)
    return WantedWebhook(tenants.read_tenant_name(given.tenant), given.url, events, secret, given.removed)


async def put_webhook(conn: Conn, sealer: Sealer, wanted: WantedWebhook) -> str:
    """Bring a webhook to what is *wanted*; return `add`, `change`, `remove` or nothing. Raises `CannotDo`."""
    tenant = (await tenants.the_tenant(conn, wanted.tenant)).id
    await entered(conn, tenant)
    held = [one for one in await webhooks.listing(conn, tenant) if one.url == wanted.url]
    if wanted.removed:
        for one in held:
            await webhooks.remove(conn, tenant, one.id)
        return "remove" if held else ""
    if not held:
        if wanted.secret is None:
            raise CannotDo(
                "A new webhook needs a secret that its receiver knows; write secret_file, or add it with "
                "`ddns webhook add`, which makes one."
            )
        await webhooks.add(conn, sealer, tenant, wanted.url, wanted.events, secrets.token_bytes, wanted.secret)
        return "add"
    if any(one.events == wanted.events and _signs_with(sealer, one, wanted.secret) for one in held):
        return ""
    if len(held) > 1:
        raise CannotDo(f"There are {len(held)} webhooks at this address; remove all but one: ddns webhook remove.")
    await webhooks.change(conn, sealer, tenant, held[0].id, wanted.events, wanted.secret)
    return "change"


def _signs_with(sealer: Sealer, one: Webhook, secret: Secret | None) -> bool:
    if secret is None:
        return True
    try:
        return sealer.open(webhooks.seal_name(one.id), one.secret) == secret
    except BadSeal:
        return False  # sealed under a key that is lost: the file's takes its place
