"""Who may register services (RFC 9665) in a home's zone: nobody, or hosts in the networks that its owner names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from ddns.auth.principal import ASSURANCES
from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.zones import locked
from ddns.store import credentials, notify
from ddns.zone.srp import POLICY, POLICY_ALGORITHM, policy_name

MOST_NETWORKS = 64


def read_networks(texts: Iterable[str]) -> tuple[str, ...]:
    """Return prefixes in their usual spelling, each once. Raises `CannotDo`."""
    found = []
    for text in texts:
        try:
            found.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError:
            raise CannotDo(f"{text!r} is no network; write 192.0.2.0/24 or 2001:db8::/56.") from None
    if len(found) > MOST_NETWORKS:
        raise CannotDo(f"A home's hosts may come from {MOST_NETWORKS} networks at most, not {len(found)}.")
    return tuple(dict.fromkeys(found))


async def allow(conn: Conn, home: Name, networks: tuple[str, ...]) -> bool:
    """Let hosts in *networks*, and no others, register in *home*, none for nobody; tell whether that changed anything.

    Raises `CannotDo`.
    """
    async with conn.transaction():
        zone = await locked(conn, home)
        if not zone.home:
            raise CannotDo(f"{names.to_text(home)} is no home; `ddns home list` shows those there are.")
        try:
            name = policy_name(home)
        except names.BadName:
            raise CannotDo(f"The name {names.to_text(home)} is too long for services in it.") from None
        wanted = " ".join(networks).encode()
        held = [one.credential for one in await credentials.listing(conn) if one.credential.name == name]
        if [one.public for one in held] == ([wanted] if wanted else []):
            return False
        await credentials.revoke_ids(conn, [one.id for one in held])
        if wanted:
            await credentials.insert(
                conn, name, POLICY, POLICY_ALGORITHM, public=wanted, home=zone.id, assurance=ASSURANCES[0]
            )
        await notify.keys(conn, name)
    return True
