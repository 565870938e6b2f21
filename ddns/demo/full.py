"""The longer story, after the first: boxes that are bought, replaced, sold, stolen, claimed and lost, and two tenants.

Everything is done by the commands that people have, over real sockets. Each chapter is a module of its own.
"""

from __future__ import annotations

import contextlib

from ddns.demo import buying, losing, selling, tenants, waiting
from ddns.demo.household import Desk, Person
from ddns.demo.scene import Scene
from ddns.demo.screen import Screen
from ddns.demo.story import Story


class FullStory(Story):
    """Tells the first story, and then what becomes of homes, boxes and keys."""

    def __init__(self, screen: Screen, desk: Desk, program: str, stack: contextlib.ExitStack) -> None:
        super().__init__(screen, desk, program, stack)
        self._desk = desk

    def tell(self) -> None:
        """Do every step. Raises `Broken` at the first one that does not hold."""
        super().tell()
        scene = Scene(self._screen, self._desk, self._program, self._anchor())
        maker = buying.bond(scene, self._stack)
        lee, box = buying.scan(scene)
        buying.vouched(scene, maker)
        nova = selling.sell(scene, lee, box)
        selling.steal(scene, nova, box)
        mori = Person(self._desk, "mori")
        first = losing.invite(scene, mori)
        second = losing.replace(scene, mori, first)
        losing.reset(scene, mori, second)
        losing.lose(scene, mori, second)
        tenants.apart(scene)
        claimed, ines = waiting.claims(scene)
        new = waiting.begin_recovery(scene)
        waiting.month(scene)
        waiting.granted(scene, claimed, ines)
        waiting.recovered(scene, new)
