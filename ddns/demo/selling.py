"""A box changes hands: nobody takes it, its seller gives it away, and it is stolen."""

from __future__ import annotations

from ddns.demo.household import Box, Person
from ddns.demo.scene import Scene, refused


def sell(scene: Scene, lee: Person, box: Box) -> Person:
    """§2.7 (a), the polite way: return the buyer."""
    home = "lee.homes.example"
    scene.chapter("The box is sold, politely")
    with scene.step("Somebody takes the box and scans its code") as step:
        box.ddns("reset", "--forget")
        why = refused(box.scanned_by(Person(scene.desk, "finder")), "Somebody else got a home with a box not his:")
        step.held(
            f"Somebody takes the box and scans its code, and the registry refuses him: {why}",
            scene.command("home", "show", home),
        )
    with scene.step("The seller releases it, the buyer scans it") as step:
        secret = lee.says("release", home, "--bearer").split()[-1]
        nova = Person(scene.desk, "nova")
        taken = box.home_with(nova, "nova", "--secret", secret)
        scene.until(lambda: scene.prove(taken, "KEY"))
        scene.until(lambda: scene.prove(home, "SOA"))
        step.held(
            f"By the seller's signed word the box is at {taken}, a home of its buyer's own. "
            f"The name {home} stays the seller's.",
            scene.dig(f"{home} SOA"),
            notes=("The word was good once, for this box, and the maker was not asked.",),
        )
    return nova


def steal(scene: Scene, nova: Person, box: Box) -> None:
    """§2.7 (c)."""
    with scene.step("The buyer's box is stolen") as step:
        home = "nova.homes.example"
        nova.says("stolen", home)
        box.ddns("reset", "--forget")
        why = refused(box.scanned_by(Person(scene.desk, "fence")), "A stolen box got a home:")
        scene.prove(home, "SOA")
        step.held(
            f"The buyer's box is stolen: its key is revoked, the name is still hers, and nobody enrols the box: {why}",
            scene.command("home", "history", home),
        )
