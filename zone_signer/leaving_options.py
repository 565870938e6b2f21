"""How long a home waits on its way out and back: the options by which `ddns serve` passes `[delegation]` on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from ddns.zone.hand import Bounds

_USUAL = Bounds()
_SECONDS = click.FloatRange(0, 604_800)


def leaving_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --safety, --dark-after, --back-after and --look."""
    for option in (
        click.option(
            "--look", type=_SECONDS, default=float(_USUAL.look), show_default=True,
            help="Seconds between two looks at a home that is on its way to servers of its own, or back.",
        ),
        click.option(
            "--back-after", type=_SECONDS, default=float(_USUAL.back_after), show_default=True,
            help="Seconds for which a home's own servers must be right again to be led to again.",
        ),
        click.option(
            "--dark-after", type=_SECONDS, default=float(_USUAL.dark_after), show_default=True,
            help="Seconds of silence of all its own servers after which a home counts as dark.",
        ),
        click.option(
            "--safety", type=_SECONDS, default=float(_USUAL.safety), show_default=True,
            help="Seconds that are waited on top of every TTL before such a home takes its next step.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def bounds_of(safety: float, dark_after: float, back_after: float, look: float) -> Bounds:
    """Return what these options say, in whole seconds."""
    return Bounds(
        safety=math.ceil(safety),
        dark_after=math.ceil(dark_after),
        back_after=math.ceil(back_after),
        look=max(1, math.ceil(look)),
    )
