"""The home leaves for servers of its own, and returns, by its own key (draft-ietf-dnsop-delegation-mgmt-via-ddns).

The registry asks the servers before it answers, so an answer takes seconds. What it does then it does step by step; how
far it is, its operator sees.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.gateway import agent, client, state, update
from ddns.gateway.clock import Clock
from ddns.gateway.outcome import Status, judge
from ddns.gateway.state import Outcome, State

TTL = 3600  # seconds; the registry chooses its own


def leave(
    folder: Path,
    servers: Sequence[Name],
    addresses: Sequence[tuple[Name, str]],
    ds: Sequence[Rdata],
    *,
    wait: float = client.WAIT,
    system: Callable[[], float] = time.time,
) -> Outcome:
    """Ask the registry to delegate the home to *servers*, with *addresses* of those below it, and *ds*.

    None of these: the home is not signed there. Raises `agent.NotEnrolled`. *system* is this machine's clock.
    """

    def message(home: Name, zone: Name) -> bytes:
        added = [(home, int(Type.NS), TTL, server) for server in servers]
        for host, text in addresses:
            address = ipaddress.ip_address(text)
            added.append((host, int(Type.A if address.version == 4 else Type.AAAA), TTL, address.packed))
        added += [(home, int(Type.DS), TTL, one) for one in ds]
        hosts = dict.fromkeys(host for host, _ in addresses)
        cleared = [(home, int(Type.NS)), (home, int(Type.DS))]
        cleared += [(host, rdtype) for host in hosts for rdtype in (int(Type.A), int(Type.AAAA))]
        return update.records(zone, added, (), cleared=cleared, ident=agent.new_ident(), nonce=agent.new_nonce())

    said = "its registry takes {home} to its own servers, step by step; let these show the registry's keys too."
    return _send(folder, message, said, wait, system)


def come_home(folder: Path, *, wait: float = client.WAIT, system: Callable[[], float] = time.time) -> Outcome:
    """Ask the registry to serve the home again. Raises `agent.NotEnrolled`. *system* is this machine's clock."""

    def message(home: Name, zone: Name) -> bytes:
        cleared = [(home, int(Type.NS))]
        return update.records(zone, (), (), cleared=cleared, ident=agent.new_ident(), nonce=agent.new_nonce())

    return _send(folder, message, "its registry takes {home} home, step by step.", wait, system)


def _send(
    folder: Path, message: Callable[[Name, Name], bytes], said: str, wait: float, system: Callable[[], float]
) -> Outcome:
    ticking = Clock(system)
    with state.held(folder):
        known: State = agent.enrolled(folder)
        home, zone = names.from_text(known.home), names.from_text(known.registry)
        known, answer = agent.ask(folder, known, zone, message(home, zone), wait, ticking)
        status, sentence = judge(answer, known.host, known.port, ticking.system)
        if status == Status.DONE:
            sentence = f"Accepted: {said.format(home=known.home)}"
        state.write(folder, known)
        return agent.outcome_of(ticking, status, sentence)
