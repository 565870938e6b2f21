"""What fixtures and tests share: the template database's name, and waiting for asyncio from outside of it."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from ddns.aio import on_loop

TEMPLATE = "template_ddns"


def wait_for(work: Any) -> Any:
    """Return the result of an asyncio coroutine, from a synchronous fixture or test."""
    return pytest_twisted.blockon(on_loop(work))
