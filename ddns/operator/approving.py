"""Approve the new key of a home whose owner cannot, or that has none: the operator writes why."""

from __future__ import annotations

import uuid

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes import operating
from ddns.homes.carrying import Outcome
from ddns.homes.knowing import thumbprint_of
from ddns.homes.operating import Operator
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.signing.client import SignerClient
from ddns.store import home_people, pending_keys
from ddns.store.tenancy import entered


async def approve(
    conn: Conn, signer: SignerClient, home: Name, tag: int, reason: str, principal: str, now: int
) -> Outcome:
    """Put the pending key with the key tag *tag* in the place of all others of *home*. Raises `CannotDo`."""
    async with conn.transaction():
        there = await home_people.called(conn, home)
        if there is None:
            raise CannotDo(f"{names.to_text(home)} is no home; `ddns home search` shows those there are.")
        waiting = [one for one in await pending_keys.of(conn, there.zone, now) if one.tag == tag]
        if len(waiting) != 1:
            raise CannotDo(
                f"{'No key' if not waiting else 'More than one key'} with the tag {tag} waits for approval; "
                "`ddns home show` lists them. Have the gateway announce its key."
            )
        await entered(conn, there.tenant)
        operator = Operator(
            name=principal.removeprefix("operator:"), reason=reason.strip(), tenant=there.tenant, now=now,
            new_id=uuid.uuid4,
        )  # fmt: skip
        key = thumbprint_of(waiting[0].key)
        done = await operating.with_home(conn, signer, home, "approve-key", operator, key)
        if isinstance(done, Refusal):
            raise CannotDo(done.text)
    return done
