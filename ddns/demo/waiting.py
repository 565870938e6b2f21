"""What takes weeks: claims on boxes whose owners say no, or say nothing, and an owner's key that is lost.

The desk of the demo is told that a month has gone by (`ddns.demo.desk`); everything else is as always.
"""

from __future__ import annotations

import shutil

from ddns.demo.household import Box, Person
from ddns.demo.scene import Scene, refused
from ddns.demo.screen import Broken

HOME = "kay.homes.example"
MONTH = 31  # days: a claim waits for 30, a recovery by the owner's own keys for 3


def claims(scene: Scene) -> tuple[Box, Person]:
    """§2.7 (b), up to the waiting: return the box that is claimed, and the claimant."""
    scene.chapter("The seller of a box says nothing")
    with scene.step("Somebody claims a box, and its owner objects") as step:
        kay, box, rui = Person(scene.desk, "kay"), Box(scene.desk, "kay"), Person(scene.desk, "rui")
        box.home_with(kay, "kay")
        box.ddns("reset", "--forget")
        _filed(box, rui)
        if "claim.filed" not in kay.ddns("notices"):
            raise Broken("The owner was not told of the claim on her box.")
        kay.says("object", HOME)
        why = refused(box.claimed_by(rui), "A claim that was objected to was filed again:")
        step.held(
            f"Somebody claimed a box; its owner was told at once, and objected. He asks again: {why}",
            scene.command("home", "history", HOME),
        )
    with scene.step("Somebody else claims it, and its owner is silent") as step:
        ines = Person(scene.desk, "ines")
        due = _filed(box, ines)
        why = refused(box.scanned_by(ines), "A box was enrolled before the waiting time was over:")
        step.held(
            f"Somebody else claims it, and its owner is silent. The claim waits until {due}: {why}",
            scene.dig(f"{HOME} SOA"),
        )
    return box, ines


def begin_recovery(scene: Scene) -> Person:
    """§2.9, the owner's key: return the new phone, which has to wait."""
    with scene.step("A phone falls into the sea") as step:
        new = Person(scene.desk, "mori-new")
        shutil.copyfile(scene.desk.folder / "mori-phone" / "recovery.pem", new.file("recovery.pem"))
        new.says_about_keys(
            "recover", "--new", new.file("owner.pem"), "--as", "recovery", "--registry", "homes.example",
            *scene.desk.known,
        )  # fmt: skip
        why = refused(new.tries("say", "stolen", "mori.homes.example"), "The new key works at once:")
        step.held(
            f"With the recovery key from the sheet of paper the new phone asks for its turn. Not yet: {why}",
            scene.command("home", "history", "mori.homes.example"),
            notes=("Every key of the owner's was told, and may object.",),
        )
    return new


def month(scene: Scene) -> None:
    """Have time go by."""
    with scene.step("A month goes by") as step:
        scene.desk.later(MONTH)
        step.held(
            f"The registry's desk now believes that {MONTH} days have gone by. No setting does that: the demo runs the "
            "desk with a clock of its own, and all else with the true time.",
            scene.curl("/healthz", "-i"),
        )


def granted(scene: Scene, box: Box, ines: Person) -> None:
    """§2.7 (b): nobody objected."""
    with scene.step("The silent seller's box") as step:
        scene.until(lambda: scene.happened(HOME, "grant-claim"))
        home = box.home_with(ines, "ines")
        scene.until(lambda: scene.prove(home, "KEY"))
        scene.prove(HOME, "SOA")
        step.held(
            f"Nobody objected and nobody used the box, so it is the claimant's: {home}. {HOME} is still its owner's, "
            "without a gateway.",
            scene.dig(f"{home} KEY"),
            scene.command("home", "history", HOME),
        )


def recovered(scene: Scene, new: Person) -> None:
    """§2.9: the new phone is the owner's, and the old one nobody's."""
    with scene.step("The new phone") as step:
        scene.until(lambda: new.ddns("notices"))
        lost = Person(scene.desk, "found-in-the-sea")
        shutil.copyfile(scene.desk.folder / "mori-phone" / "owner.pem", lost.file("owner.pem"))
        words = ("say", "leave", "mori.homes.example", *scene.desk.known)
        why = refused(lost.tries(*words), "The lost key still works:")
        new.ddns("make", "--role", "admin")
        new.says_about_keys("add-owner-key", "--new", new.file("admin.pem"), "--for", "admin")
        step.held(
            f"The new phone's key is the owner's now. Who finds the old phone has nothing: {why}",
            scene.command("home", "history", "mori.homes.example"),
        )


def _filed(box: Box, claimant: Person) -> str:
    """Have *claimant* claim *box*, and return the day until which he waits. Raises `Broken`."""
    done = box.claimed_by(claimant)
    if done.returncode or "until " not in done.stdout:
        raise Broken(f"The claim was not filed: {(done.stderr or done.stdout).strip()}")
    return done.stdout.split("until ")[1][:10]
