"""A worker put together as the service does it, on a real database, without its sockets."""

from __future__ import annotations

import asyncio
import time

import craft
import dns.rcode
from committing import House, read

from ddns.dns.asker import Asker, Transport
from ddns.worker import Worker, WorkerConfig


async def test_an_update_waits_until_it_is_known_which_zone_it_is_about(dsn_for, tmp_path):
    """By whatever way it comes: a worker that does not know all zones yet must not say that there is none."""
    (tmp_path / "secrets.key").write_bytes(bytes(range(32)))
    house = House(dsn_for, tmp_path / "house")
    async with house, asyncio.timeout(20):
        house.worker.now = time.time()
        wire = house.signed(craft.add("new", 300, "A", "192.0.2.1"))
        worker = Worker(
            WorkerConfig(dsn_for("ddns_server"), [], str(tmp_path / "secrets.key"), str(house.running.path))
        )
        await worker._pool.open()
        assert not worker._subscriber.register.is_complete

        replied = asyncio.get_running_loop().create_future()
        worker._update(wire, Asker(Transport.UDP, "192.0.2.1"), replied.set_result)
        answer = read(await replied)

        assert answer.rcode() == dns.rcode.NOERROR, answer
        await worker._updates.close()
        await worker._subscriber.close()
        await worker._signer.close()
        worker._lines.close()
        worker._key_line.close()
        await worker._pool.close()
