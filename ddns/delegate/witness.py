"""Whether our own network is up: somebody who has nothing to do with a silent home answers.

Law: that nobody answers says nothing of anybody. A witness is another home's server that answered a moment ago, or the
server that the operator names, or one of the root's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from ddns.delegate.limits import DelegationLimits
from ddns.dns.codes import Type
from ddns.dns.names import ROOT
from ddns.watch.ask import Server, ask, read_address
from ddns.watch.resolver import Resolver, Unresolved

LATELY = 30.0  # seconds for which who answered is a witness
MOST_HEARD = 1000  # addresses that are remembered
MOST_ASKED = 3  # of the root's servers


class Witness:
    """Who answers lately, and who else may be asked."""

    def __init__(self, limits: DelegationLimits, resolver: Resolver) -> None:
        self._limits = limits
        self._resolver = resolver
        self._heard: dict[str, float] = {}

    def heard(self, addresses: Iterable[str]) -> None:
        """Note that somebody answers at *addresses*."""
        now = asyncio.get_running_loop().time()
        for address in addresses:
            self._heard.pop(address, None)
            while len(self._heard) >= MOST_HEARD:
                del self._heard[next(iter(self._heard))]
            self._heard[address] = now

    async def sees(self, silent: Collection[str]) -> bool:
        """Tell whether anybody answers who is not at any of the addresses *silent*."""
        now = asyncio.get_running_loop().time()
        if any(now - at < LATELY for address, at in self._heard.items() if address not in silent):
            return True
        asked = [one for one in await self._others() if one.address not in silent]
        said = await asyncio.gather(
            *(ask(one, ROOT, Type.SOA, seconds=self._limits.timeout) for one in asked[:MOST_ASKED])
        )
        return any(one.message is not None for one in said)

    async def _others(self) -> list[Server]:
        if self._limits.witness:
            return [read_address(self._limits.witness, 53)]
        try:
            hosts = await self._resolver.servers(ROOT)
            found = await asyncio.gather(
                *(self._resolver.addresses(host) for host in hosts[:MOST_ASKED]), return_exceptions=True
            )
        except Unresolved:
            return []
        return [Server(one, 53) for there in found if not isinstance(there, BaseException) for one in there[:1]]
