"""The server's end of the signer's socket, beside a listener that answers as the test wants."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Self

import msgspec
import pytest

from ddns.signing import client as clients
from ddns.signing.client import SignerAway, SignerClient
from ddns.zone.jobs import Batch, Frames, Signed, SignedJob, SignJob, framed

JOB = SignJob(7, b"\1a\0", "nsec3", 13, (), ())
ANSWER = SignedJob(7, error="so it is")


class Listener:
    """A socket at *path* that is accepted and read only when the test says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        self.sock.listen(8)
        self.sock.setblocking(False)
        self.frames = Frames()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    async def accept(self) -> socket.socket:
        return (await asyncio.get_running_loop().sock_accept(self.sock))[0]

    async def batches(self, line: socket.socket, count: int) -> list[Batch]:
        loop = asyncio.get_running_loop()
        found: list[bytes] = []
        while len(found) < count:
            found += self.frames.feed(await loop.sock_recv(line, 1 << 16))
        return [msgspec.msgpack.decode(one, type=Batch) for one in found]


def answer(ident: int, count: int = 1) -> bytes:
    return framed(msgspec.msgpack.encode(Signed(ident, (ANSWER,) * count)))


async def test_all_who_come_while_the_first_connects_are_served_over_one_connection(tmp_path):
    client = SignerClient(tmp_path / "s", 5.0)
    with Listener(tmp_path / "s") as listener:
        asked = [asyncio.ensure_future(client.sign([JOB])) for _ in range(3)]
        line = await listener.accept()
        for batch in await listener.batches(line, 3):
            line.send(answer(batch.id))

        assert await asyncio.gather(*asked) == [(ANSWER,)] * 3
        await client.close()
        line.close()


async def test_answers_come_in_any_order_and_in_any_pieces(tmp_path):
    client = SignerClient(tmp_path / "s", 5.0)
    with Listener(tmp_path / "s") as listener:
        asked = [asyncio.ensure_future(client.sign([JOB] * number)) for number in (1, 2)]
        line = await listener.accept()
        first, second = await listener.batches(line, 2)
        both = answer(second.id, 2) + answer(first.id)
        for octet in both:
            line.send(bytes((octet,)))
            await asyncio.sleep(0)

        assert await asyncio.gather(*asked) == [(ANSWER,), (ANSWER,) * 2]
        await client.close()
        line.close()


async def test_whoever_waits_too_long_is_told_so_each_at_its_time_and_by_one_timer(tmp_path, monkeypatch):
    client = SignerClient(tmp_path / "s", 0.2)
    loop = asyncio.get_running_loop()
    armed = []
    call_at = loop.call_at
    monkeypatch.setattr(loop, "call_at", lambda when, *rest, **more: armed.append(rest) or call_at(when, *rest, **more))
    with Listener(tmp_path / "s") as listener:
        asked = [asyncio.ensure_future(client.sign([JOB])) for _ in range(50)]
        line = await listener.accept()
        (await listener.batches(line, 50))
        begun = len(armed)
        late = asyncio.ensure_future(client.sign([JOB]))

        told = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(one) for one in told] == ["the signer does not answer in time"] * 50
        with pytest.raises(SignerAway, match="in time"):
            await late

        assert begun == 1
        assert len(armed) <= 3
        await client.close()
        line.close()


async def test_an_answer_for_somebody_who_has_left_harms_nobody(tmp_path):
    client = SignerClient(tmp_path / "s", 5.0)
    with Listener(tmp_path / "s") as listener:
        left, stays = (asyncio.ensure_future(client.sign([JOB])) for _ in range(2))
        line = await listener.accept()
        first, second = await listener.batches(line, 2)
        line.send(answer(first.id) + answer(second.id))
        left.cancel()

        assert await stays == (ANSWER,)
        with pytest.raises(asyncio.CancelledError):
            await left
        await client.close()
        line.close()


@pytest.mark.parametrize("said", [b"", b"\xff\xff\xff\xff", framed(b"\xc1")])
async def test_a_signer_that_ends_or_talks_nonsense_is_away_at_once_and_found_again_later(tmp_path, monkeypatch, said):
    monkeypatch.setattr(clients, "RETRY_AFTER", 0.01)
    client = SignerClient(tmp_path / "s", 5.0)
    with Listener(tmp_path / "s") as listener:
        asked = asyncio.ensure_future(client.sign([JOB]))
        line = await listener.accept()
        await listener.batches(line, 1)
        line.send(said)
        line.close()
        with pytest.raises(SignerAway):
            await asked

        again = asyncio.ensure_future(client.sign([JOB]))
        line = await listener.accept()
        (batch,) = await listener.batches(line, 1)
        line.send(answer(batch.id))

        assert await again == (ANSWER,)
        await client.close()
        line.close()


async def test_a_signer_that_is_away_is_not_asked_by_everybody(tmp_path):
    client = SignerClient(tmp_path / "s", 5.0)
    with pytest.raises(SignerAway, match="No such file"):
        await client.sign([JOB])
    with Listener(tmp_path / "s"), pytest.raises(SignerAway, match="is away"):
        await client.sign([JOB])


async def test_a_batch_that_does_not_fit_into_the_socket_is_sent_as_there_is_room(tmp_path):
    client = SignerClient(tmp_path / "s", 5.0)
    big = msgspec.structs.replace(JOB, origin=bytes(3 << 20))
    with Listener(tmp_path / "s") as listener:
        asked = [asyncio.ensure_future(client.sign([one])) for one in (big, JOB)]
        line = await listener.accept()
        first, second = await listener.batches(line, 2)
        assert (first.jobs, second.jobs) == ((big,), (JOB,))
        line.send(answer(second.id) + answer(first.id))

        assert await asyncio.gather(*asked) == [(ANSWER,)] * 2
        await client.close()
        line.close()
