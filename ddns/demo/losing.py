"""A gateway is replaced by a new one, reset, and loses its key; its owner stays who he is."""

from __future__ import annotations

import json

from ddns.demo.household import Box, Person, thumbprint
from ddns.demo.scene import SEEN, Scene, refused

HOME = "mori.homes.example"
ELSEWHERE = "2001:db8::9"


def invite(scene: Scene, mori: Person) -> Box:
    """Return the gateway of another home, enrolled by invitation."""
    scene.chapter("A new gateway, a factory reset, and a lost key")
    with scene.step("Another home, by invitation") as step:
        box = Box(scene.desk, "mori")
        server, web = f"127.0.0.1:{scene.desk.port}", f"{scene.desk.name}:{scene.desk.web}"
        said = scene.desk.ddns("home", "invite", "mori", "--server", server, "--web", web, "--json")
        line = json.loads(said)["invitation"]
        mori.ddns("scan", line)
        box.asks("enrol", line, "--owner", mori.file("owner.jwk"), "--wait", "1")
        _accept(scene, mori, box)
        box.ddns("publish", "cam", "--address", SEEN)
        mori.ddns("make", "--role", "recovery")
        mori.says_about_keys("add-owner-key", "--new", mori.file("recovery.pem"), "--for", "recovery")
        step.held(
            f"{HOME} has a gateway and an owner, each with a key of its own. On a sheet of paper is one more, for the "
            "day when the phone is lost.",
            scene.command("home", "show", HOME),
        )
    return box


def replace(scene: Scene, mori: Person, old: Box) -> Box:
    """Have a new gateway take the old one's place, and return it."""
    with scene.step("A new gateway takes the old one's place") as step:
        new = Box(scene.desk, "mori-new")
        new.asks("replace", HOME, "--server", f"127.0.0.1:{scene.desk.port}", "--wait", "1")
        _accept(scene, mori, new)
        new.ddns("publish", "cam", "--address", SEEN)
        why = refused(old.tries("publish", "cam", "--address", ELSEWHERE), "The old gateway still writes:")
        scene.until(lambda: scene.has(f"cam.{HOME}", "AAAA", SEEN))
        step.held(
            f"One action of the owner's, and the old gateway's next message is refused: {why}",
            scene.dig(f"{HOME} KEY"),
        )
    return new


def reset(scene: Scene, mori: Person, box: Box) -> None:
    """§2.8."""
    with scene.step("The gateway is reset to what it was in the shop") as step:
        box.ddns("reset")
        scene.prove(HOME, "SOA")
        box.asks("replace", "--wait", "1")
        _accept(scene, mori, box)
        scene.until(lambda: scene.has(f"cam.{HOME}", "AAAA", SEEN))
        step.held(
            "A factory reset wiped the gateway's keys. The name stayed its owner's, and what it published is there "
            "again, under a new key.",
            scene.dig(f"cam.{HOME} AAAA"),
        )


def lose(scene: Scene, mori: Person, old: Box) -> None:
    """§2.9: the gateway's key."""
    with scene.step("A gateway without its key makes a new one known") as step:
        new = Box(scene.desk, "mori-third")
        said = new.asks("key", "announce", HOME, "--server", f"127.0.0.1:{scene.desk.port}")
        old.ddns("publish", "cam", "--address", SEEN)  # the old key still works
        mori.says("approve-key", HOME, "--key", thumbprint(said))
        _go_on(scene, new)
        new.ddns("publish", "cam", "--address", SEEN)
        refused(old.tries("publish", "cam", "--address", ELSEWHERE), "The old key still works:")
        step.held(
            "A gateway without its key made a new one known, and was trusted with nothing until the owner approved it; "
            "the old key worked until then, and is dead now.",
            scene.command("home", "history", HOME),
        )


def _accept(scene: Scene, mori: Person, box: Box) -> None:
    """Have the owner accept what *box* asks for, and the box go on with its new key."""
    mori.ddns("accept", str(box.request))
    _go_on(scene, box)


def _go_on(scene: Scene, box: Box) -> None:
    """Have *box* look whether its key is known, until a worker that it asks has heard of it."""
    scene.until(lambda: box.ddns("enrol", "--wait", "2"))
