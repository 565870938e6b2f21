"""Who waits for a `Prompt` goes on in the turn in which its result comes; and keys stay known until they may be old."""

from __future__ import annotations

import asyncio

import pytest

from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.net.keyring import KEPT_FOR, Keyring
from ddns.store.line import Line
from ddns.store.prompt import Prompt

NAME = names.from_text("k.example.")


async def waiting(prompt: Prompt[int], seen: list[object]) -> None:
    try:
        seen.append(await prompt)
    except (LookupError, asyncio.CancelledError) as error:
        seen.append(type(error))


async def settled(settle) -> list[object]:
    """Return what a waiter has seen when the callback of the loop that calls *settle* is over."""
    loop = asyncio.get_running_loop()
    prompt: Prompt[int] = Prompt(loop=loop)
    seen: list[object] = []
    task = asyncio.ensure_future(waiting(prompt, seen))
    await asyncio.sleep(0)
    at_once = loop.create_future()

    def callback() -> None:
        settle(prompt)
        at_once.set_result(list(seen))

    loop.call_soon(callback)
    found = await at_once
    await task
    return [found, seen]


async def test_a_result_or_an_error_is_there_in_the_same_turn():
    assert await settled(lambda prompt: prompt.set_result(7)) == [[7], [7]]
    assert await settled(lambda prompt: prompt.set_exception(LookupError())) == [[LookupError], [LookupError]]


async def test_while_another_task_runs_the_waiter_goes_on_in_the_next_turn():
    prompt: Prompt[int] = Prompt(loop=asyncio.get_running_loop())
    seen: list[object] = []
    task = asyncio.ensure_future(waiting(prompt, seen))
    await asyncio.sleep(0)

    prompt.set_result(7)

    assert seen == []
    await task
    assert seen == [7]


async def test_what_has_come_already_is_not_waited_for_and_a_waiter_can_be_cancelled():
    loop = asyncio.get_running_loop()
    done: Prompt[int] = Prompt(loop=loop)
    done.set_result(7)
    assert await done == 7
    assert not done.cancel()

    seen: list[object] = []
    task = asyncio.ensure_future(waiting(Prompt(loop=loop), seen))
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert seen == [asyncio.CancelledError]


@pytest.mark.parametrize(
    ("later", "missed", "known"),
    [(30.0, False, True), (30.0, True, False), (KEPT_FOR, False, False), (-9.0, False, False)],
)
async def test_keys_stay_known_unless_changes_may_have_been_missed(dsn_for, later, missed, known):
    line = Line(dsn_for("ddns_server"), "ddns_server")
    keyring = Keyring(line, Sealer(bytes(32)), 10, 10)
    keyring.compare(1000.0, missed=True)
    found: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    keyring.find(NAME, found.set_result)
    assert await found == ()

    keyring.compare(1000.0 + later, missed=missed)

    assert keyring.knows(NAME) is known
    line.close()
