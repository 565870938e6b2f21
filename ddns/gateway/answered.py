"""What a registry answers to an enrolment, taken over: the home, its key under its name, and where updates go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ddns.dns import names
from ddns.dns.names import BadName
from ddns.gateway import agent, client
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk
from ddns.gateway.key import GatewayKey
from ddns.gateway.state import Outcome, State


def take(folder: Path, members: dict[str, Any], where: Desk, key: GatewayKey, ticking: Clock) -> Outcome | None:
    """Keep the home that *members* tell of, with its *key*, and that *where* takes statements; None: it is nonsense.

    Doing it again is safe.
    """
    place: Any = members.get("update")
    try:
        home, registry = (names.from_text(str(members.get(one, ""))) for one in ("home", "registry"))
        port, tls, web = (int(place[one]) for one in ("dns", "tls", "web"))
    except (BadName, KeyError, ValueError, TypeError):
        return None
    if not 0 < port <= 65535:
        return None
    stem = GatewayKey(home, key.private).save(folder)
    known = State(
        names.to_text(home), names.to_text(registry), where.host, port, stem, tls=tls,
        web=(str(place.get("name", "")), web) if web else None, pins=where.pins, cafile=where.cafile,
    )  # fmt: skip
    return agent.settle(folder, known, None, client.WAIT, ticking)
