"""A maker bonds its boxes, an owner scans one, another box brings its maker's voucher, and the maker has no say."""

from __future__ import annotations

import contextlib
import json
import shutil

from ddns.demo.household import Box, Person
from ddns.demo.maker import Maker
from ddns.demo.scene import SEEN, Scene, refused

ZONE = "homes.example"


def bond(scene: Scene, stack: contextlib.ExitStack) -> Maker:
    """§2.1: return a maker with a bond and a running service."""
    scene.chapter("A maker bonds its boxes with the registry")
    with scene.step("Making a maker, its first box and its bond") as step:
        scene.desk.ddns("policy", "set", ZONE, "methods=invitation,qr,voucher")
        maker = Maker(scene.desk)
        stack.callback(maker.stop)
        number = maker.bond()
        maker.start()
        box = maker.box("SN-0001")
        step.held(
            f"Bond {number} says which keys may vouch for whose boxes, and gives no right over a home. "
            f"The box {box.serial} has its maker's certificate.",
            f"openssl verify -CAfile {maker.folder}/ca.pem \\\n  {box.files[0]}",
        )
        return maker


def scan(scene: Scene) -> tuple[Person, Box]:
    """§2.2 and §2.3: return an owner and the box with whose code she got her home."""
    scene.chapter("Scan, accept, done")
    lee, box = Person(scene.desk, "lee"), Box(scene.desk, "lee")
    with scene.step("Scanning the code on a box") as step:
        code = box.code
        home = box.home_with(lee, "lee")
        scene.until(lambda: scene.prove(home, "KEY"))
        box.ddns("publish", "cam", "--address", SEEN)
        scene.until(lambda: scene.has(f"cam.{home}", "AAAA", SEEN))
        step.held(
            f"Two actions, nothing typed: {home} is its owner's, and its key validates from the registry's DS.",
            scene.dig(f"cam.{home} AAAA"),
            notes=(f"On the box stands {code[:40]}…",),
        )
    with scene.step("A stranger signs as if it were his") as step:
        words = ("say", "leave", home, *scene.desk.known)
        thief = Person(scene.desk, "thief")
        why = refused(thief.tries(*words), f"A stranger got somewhere with {home}:")
        step.held(
            f"A stranger signs as if it were his, and hears not even whether there is such a home: {why}",
            scene.command("home", "history", home),
        )
    return lee, box


def vouched(scene: Scene, maker: Maker) -> None:
    """§2.3 by BRSKI and EST; then the maker tries to have a say, and is gone for ever."""
    scene.chapter("A box that its maker vouches for")
    with scene.step("The box asks for its maker's voucher, and for its home") as step:
        box = maker.box("SN-0002")
        said = box.voucher()
        home = box.enrol()
        scene.until(lambda: scene.prove(home, "KEY"))
        shown = json.loads(scene.desk.ddns("home", "show", home, "--json"))
        step.held(
            f"The maker's voucher pins this registry for {said.serial_number}; by EST it became {home}, "
            f"of the tier {shown['keys'][0]['assurance']}.",
            f"openssl cms -cmsout -print -inform DER \\\n  -in {box.voucher_file}",
        )
    with scene.step("The maker wants a home closed") as step:
        hand = Person(scene.desk, "maker-hand")
        shutil.copyfile(maker.folder / "masa.key", hand.file("owner.pem"))
        why = refused(hand.tries("say", "leave", f"lee.{ZONE}", *scene.desk.known), "The maker closed a home:")
        step.held(
            f"The maker wants that home closed, signed with the key that signs its vouchers: {why}",
            scene.command("vendor", "list"),
        )
    with scene.step("The maker goes out of business") as step:
        maker.stop()
        step.held("The maker goes out of business, and its service is gone for ever. Nothing that follows needs it.")
