"""`ddns demo`: the whole story on this machine, step by step."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from ddns.cli import DONE, FAILED

CHECK_EVERY = 0.5  # seconds between looks at the service while it keeps serving


@click.command()
@click.option("--once", is_flag=True, help="End after the last step: 0 if all of them held, else 1.")
@click.option("--full", is_flag=True, help="Go on: boxes bought, sold, reset and lost, and two tenants.")
def command(once: bool, full: bool) -> int:
    """Show the whole story on this machine: a registry, a home, a device, and a stranger who checks.

    It needs no root and no server, listens on loopback addresses only, and removes all that it made.
    """
    from rich.console import Console  # noqa: PLC0415 - only here

    from ddns.demo.full import FullStory  # noqa: PLC0415
    from ddns.demo.household import Desk  # noqa: PLC0415
    from ddns.demo.registry import Registry  # noqa: PLC0415
    from ddns.demo.screen import Broken, Screen  # noqa: PLC0415
    from ddns.demo.story import Story  # noqa: PLC0415

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character ends no story
    console = Console(highlight=False)
    screen = Screen(console)
    screen.title(
        "Nameplate: a home gets its name",
        "Everything happens on this machine, for real. The lines under a step can be pasted in another terminal."
        + ("" if shutil.which("delv") else " They need BIND's tools: apt install bind9-dnsutils bind9-utils."),
    )
    registry = None
    told = False
    try:
        with Desk() if full else Registry() as registry, contextlib.ExitStack() as stack:
            try:
                if isinstance(registry, Desk):
                    FullStory(screen, registry, _program(), stack).tell()
                else:
                    Story(screen, registry, _program(), stack).tell()
                told = True
                screen.chapter("Done")
                screen.say("Every step held.")
                if once:
                    return DONE
                screen.say("The registry keeps serving. Ctrl-C ends it and removes all that it made.")
                while True:
                    registry.check()
                    time.sleep(CHECK_EVERY)
            except KeyboardInterrupt:
                console.print()
                screen.say("Stopping …")
                raise
    except KeyboardInterrupt:
        console.print("All that it made is gone.")
        return DONE if told else FAILED
    except Broken as broken:
        if registry is not None and registry.kept_log.exists():
            console.print(f"\nThe registry's log is {registry.kept_log}", soft_wrap=True)
        elif registry is None:
            click.echo(f"ddns: {broken}", err=True)
        return FAILED


def _interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    if number == signal.SIGHUP:  # the terminal has gone, and what is said now would be an error of its own
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    raise KeyboardInterrupt


def _program() -> str:
    """Return how the person called us, as it can be pasted in the same folder."""
    called = Path(sys.argv[0])
    if called.name != "ddns" or shutil.which("ddns") == str(called):
        return "ddns"
    return min(str(called.absolute()), os.path.relpath(called), key=len)
