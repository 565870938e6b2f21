"""Prompt readers: called out of the loop's wait, beside everything else that a loop does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ddns.turns import MOST, Loop, watch


@contextmanager
def pairs(count: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Yield *count* pairs of sockets that do not block; nobody reads the second ones any more in the end."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    found = [socket.socketpair() for _ in range(count)]
    try:
        for pair in found:
            for sock in pair:
                sock.setblocking(False)
        yield found
    finally:
        for theirs, ours in found:
            loop.remove_reader(ours.fileno())
            theirs.close()
            ours.close()


async def test_a_prompt_reader_is_called_before_what_waits_in_the_queue():
    """In the very turn in which its descriptor can be read, and where no task runs."""
    loop = asyncio.get_running_loop()
    seen = []
    with pairs(2) as ((theirs, ours), (others, plain)):
        done = loop.create_future()

        def reader():
            seen.append((ours.recv(100), asyncio.current_task()))

        def plainly():
            seen.append(plain.recv(100))
            done.set_result(None)

        loop.add_reader(plain.fileno(), plainly)
        watch(loop, ours.fileno(), reader)
        others.send(b"plain")
        theirs.send(b"prompt")
        await done

    assert seen == [(b"prompt", None), b"plain"]


async def test_the_loop_stays_open_for_timers_writers_and_other_threads():
    loop = asyncio.get_running_loop()
    seen = []
    with pairs(1) as ((theirs, ours),):
        read = asyncio.Event()

        def reader():
            seen.append(ours.recv(1))
            read.set()

        watch(loop, ours.fileno(), reader)
        written = loop.create_future()
        loop.add_writer(ours.fileno(), lambda: written.done() or written.set_result(None))
        await written
        loop.remove_writer(ours.fileno())
        for octet in (b"a", b"b", b"c"):
            read.clear()
            await asyncio.sleep(0.001)
            await asyncio.to_thread(theirs.send, octet)
            await read.wait()
        assert loop.remove_reader(ours.fileno())
        theirs.send(b"d")
        await asyncio.sleep(0.001)
        assert not loop.remove_reader(ours.fileno())

    assert seen == [b"a", b"b", b"c"]


async def test_what_a_prompt_reader_asks_the_loop_for_is_done_though_nothing_else_happens():
    """Soon, and at a time before the loop would have looked again."""
    loop = asyncio.get_running_loop()
    with pairs(2) as ((theirs, ours), (others, later)):
        soon, then = loop.create_future(), loop.create_future()
        watch(loop, ours.fileno(), lambda: (ours.recv(1), loop.call_soon(soon.set_result, None)))
        watch(loop, later.fileno(), lambda: (later.recv(1), loop.call_later(0.001, then.set_result, None)))
        await asyncio.to_thread(theirs.send, b"x")
        await soon
        await asyncio.to_thread(others.send, b"x")
        await then


async def test_prompt_readers_need_no_turn_of_the_loop_and_a_timer_comes_in_time_beside_them(monkeypatch):
    """Question follows answer without end; a loop that turns looks at its clock."""
    loop = asyncio.get_running_loop()
    calls = looks = 0
    clock = loop.time

    def look():
        nonlocal looks
        looks += 1
        return clock()

    with pairs(1) as ((theirs, ours),):
        over = loop.create_future()
        loop.call_later(0.02, over.set_result, None)

        def again():
            nonlocal calls
            calls += 1
            ours.recv(1)
            theirs.send(b"x")

        watch(loop, ours.fileno(), again)
        theirs.send(b"x")
        monkeypatch.setattr(loop, "time", look)
        await over

    assert calls > 10 * looks


async def test_that_the_other_end_has_gone_is_told():
    loop = asyncio.get_running_loop()
    with pairs(1) as ((theirs, ours),):
        gone = loop.create_future()
        watch(loop, ours.fileno(), lambda: gone.done() or gone.set_result(ours.recv(1)))

        theirs.close()

        assert await gone == b""


async def test_what_a_prompt_reader_raises_is_told_and_the_others_are_called():
    loop = asyncio.get_running_loop()
    told, seen = loop.create_future(), loop.create_future()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: told.set_result(str(context["exception"])))
    try:
        with pairs(2) as ((one, bad), (other, good)):

            def fail():
                bad.recv(1)
                raise LookupError("a fault")

            watch(loop, bad.fileno(), fail)
            watch(loop, good.fileno(), lambda: seen.set_result(good.recv(1)))
            one.send(b"x")
            other.send(b"x")

            assert (await told, await seen) == ("a fault", b"x")
    finally:
        loop.set_exception_handler(before)


async def test_a_reader_that_has_been_let_go_of_in_the_same_turn_is_not_called():
    loop = asyncio.get_running_loop()
    seen = []
    with pairs(2) as both:
        descriptors = [ours.fileno() for _, ours in both]

        def reader(mine):
            seen.append(mine)
            for one in descriptors:
                loop.remove_reader(one)

        for one in descriptors:
            watch(loop, one, lambda one=one: reader(one))
        for theirs, _ in both:
            theirs.send(b"x")
        await asyncio.sleep(0.01)

    assert len(seen) == 1


async def test_more_descriptors_than_one_look_names_are_all_called():
    loop = asyncio.get_running_loop()
    left = MOST + 10
    all_seen = asyncio.Event()
    with pairs(left) as many:

        def reader(ours):
            nonlocal left
            ours.recv(1)
            left -= 1
            if not left:
                all_seen.set()

        for theirs, ours in many:
            watch(loop, ours.fileno(), lambda ours=ours: reader(ours))
            theirs.send(b"x")
        await all_seen.wait()

    assert not left


async def test_on_another_loop_a_reader_is_called_as_that_loop_does():
    async def work():
        loop = asyncio.get_running_loop()
        theirs, ours = socket.socketpair()
        with theirs, ours:
            done = loop.create_future()
            watch(loop, ours.fileno(), lambda: done.done() or done.set_result(ours.recv(10)))
            theirs.send(b"slowly")
            found = await done
            loop.remove_reader(ours.fileno())
        return found

    assert await asyncio.to_thread(asyncio.run, work()) == b"slowly"
