"""How servers are asked, as one worker is told it."""

from __future__ import annotations

import msgspec


class WatchLimits(msgspec.Struct, frozen=True):
    """What the watcher spends, and where it asks.

    *every*: the longest time in seconds until a secondary is asked again that somebody waits for; *fast*: the shortest;
    *rest*: the time between two looks at a zone for which nobody waits. *timeout*: seconds for one answer. *at_once*:
    questions under way. *resolver*: ADDR or ADDR:PORT of the resolver that finds parents and addresses, empty: those of
    /etc/resolv.conf. *port*: of servers that are known by their names. *tcp*: ask by TCP alone.

    *private*: NOTIFY goes to loopback and private addresses too. *name* is this server's own, *ours* are the addresses
    and ports that it listens on.
    """

    every: float = 60.0
    fast: float = 5.0
    rest: float = 900.0
    timeout: float = 3.0
    at_once: int = 50
    resolver: str = ""
    port: int = 53
    tcp: bool = False
    private: bool = False
    name: str = ""
    ours: tuple[tuple[str, int], ...] = ()
