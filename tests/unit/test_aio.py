"""The bridge between asyncio and Twisted."""

from __future__ import annotations

import asyncio

import pytest
from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred, fail

from ddns.aio import loop, on_loop


async def test_coroutines_run_on_the_reactors_loop():
    assert isinstance(reactor, AsyncioSelectorReactor)
    assert asyncio.get_running_loop() is loop


async def test_a_deferred_fires_with_what_the_coroutine_returns():
    async def work():
        await asyncio.sleep(0)
        return 42

    assert await on_loop(work()).asFuture(loop) == 42


def test_a_deferred_fails_with_what_the_coroutine_raises():
    async def work():
        raise ValueError("no")

    done: Deferred[None] = on_loop(work())

    def caught(failure):
        assert failure.check(ValueError)

    return done.addCallbacks(lambda _: pytest.fail("it did not raise"), caught)


async def test_a_coroutine_waits_for_a_deferred():
    with pytest.raises(ValueError, match="no"):
        await fail(ValueError("no")).asFuture(loop)
