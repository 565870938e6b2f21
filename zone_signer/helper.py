"""`python -m zone_signer.helper MASTER_KEY [MODULE TOKEN PIN]`: sign bulk batches for the signer that started it.

What it is asked comes on its standard input, and there it answers. It ends when that line ends, and so when the signer
does. The database's DSN comes in the environment, `DDNS_DSN`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys

from ddns.store.pool import Pool
from zone_signer import heartbeat, resealing, settings
from zone_signer.clockkeeper import Clockkeeper
from zone_signer.conversation import Conversation, Desk
from zone_signer.keyring import KeyRing
from zone_signer.settings import Where
from zone_signer.signer import Signer
from zone_signer.worker import ROLE

NICE = 10  # how far it steps back behind everything else (nice(2))
GARBAGE = 50_000  # objects between two collections: a batch leaves none in cycles
KEYS = 100  # zones whose opened keys it remembers: the registries' that it delegates in


async def work(dsn: str, where: Where, line: socket.socket) -> None:
    """Answer what comes on *line* with the keys in the vaults at *where*."""
    pool = Pool(dsn, ROLE, 1)
    await pool.open()
    clock = Clockkeeper()
    async with pool.connection() as conn:
        vault = settings.open_vaults(where, await resealing.any_sealed(conn))
        await clock.look(conn)
    looking = asyncio.create_task(heartbeat.keep(pool, clock))
    desk = Desk(Signer(KeyRing(vault, KEYS), pool, clock))
    await Conversation(desk, line).ended.wait()
    await desk.close()
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking
    await pool.close()


def main() -> None:
    """Run until the line ends."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="zone-signer: %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # whoever ends the signer ends us through it
    with contextlib.suppress(OSError):  # where a sandbox does not let it, it works like any other
        os.nice(NICE)
    gc.freeze()
    gc.set_threshold(GARBAGE)
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as line:
        asyncio.run(work(os.environ["DDNS_DSN"], Where.from_words(sys.argv[1:]), line))


if __name__ == "__main__":
    main()
