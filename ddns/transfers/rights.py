"""Who may have which zone: whoever signs with one of its keys, or asks from one of its address prefixes.

Nobody else: a zone without a right is transferred to nobody. What is kept here lets strangers be refused without
asking the database; what lets somebody in is read again in the transaction of the transfer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.transfers import Right


def allowed(rights: Iterable[Right], key: Name | None, source: str) -> bool:
    """Tell whether one of *rights* is for who signed with *key* (None: nobody did) or asks from *source*."""
    address = ipaddress.ip_address(source)
    return any(
        right.key == key if right.key is not None else right.address is not None and address in right.address
        for right in rights
    )


class Rights:
    """The rights of all zones, as they were read last."""

    def __init__(self) -> None:
        self._own: dict[Name, list[Right]] = {}
        self._homes: dict[Name, list[Right]] = {}

    def replace(self, rights: Iterable[Right]) -> None:
        """Let *rights* hold from now on."""
        own: dict[Name, list[Right]] = {}
        homes: dict[Name, list[Right]] = {}
        for one in rights:
            (homes if one.homes else own).setdefault(one.origin, []).append(one)
        self._own, self._homes = own, homes

    def may(self, origin: Name, key: Name | None, source: str) -> bool:
        """Tell whether the zone *origin* may be anybody's who signed with *key* or asks from *source*.

        Whether it is a home of the zone above it whose rule lets it pass, the database knows.
        """
        found = list(self._own.get(origin, ()))
        if self._homes:
            for above in names.suffixes(origin)[1:]:
                found += self._homes.get(above, ())
        return allowed(found, key, source)
