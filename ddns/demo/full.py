"""The longer story, after the first: boxes that are bought, sold, stolen, reset and lost, and two tenants.

Everything is done by the commands that people have, over real sockets. What has to wait for weeks (a claim against a
silent seller, the recovery of an owner's key) is not part of it: no switch shortens those times.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable

from ddns.demo.household import Box, Desk, Person, thumbprint
from ddns.demo.maker import Maker
from ddns.demo.screen import Broken, Screen
from ddns.demo.story import VISIBLE_TIMEOUT, ZONE, Story
from ddns.gateway.outcome import Status as Exit
from ddns.verifier.chain import Anchor

ZONE_SERVER = f"ns.{ZONE}"
SEEN = "2001:db8::7"  # an address that a camera has


class FullStory(Story):
    """Tells the first story, and then what becomes of homes, boxes and keys."""

    def __init__(self, screen: Screen, desk: Desk, program: str, stack: contextlib.ExitStack) -> None:
        super().__init__(screen, desk, program, stack)
        self._desk = desk

    def tell(self) -> None:
        """Do every step. Raises `Broken` at the first one that does not hold."""
        super().tell()
        anchor = self._anchor()
        self._screen.chapter("A maker bonds its boxes with the registry")
        maker = self._bond()
        self._screen.chapter("Scan, accept, done")
        lee = Person(self._desk, "lee")
        box = self._scan(lee, anchor)
        self._screen.chapter("A box that its maker vouches for")
        self._vouched(maker, anchor)
        self._without(maker)
        self._screen.chapter("The box is sold, politely")
        nova = self._sell(lee, box, anchor)
        self._steal(nova, box, anchor)
        self._screen.chapter("A factory reset, and a lost key")
        mori = Person(self._desk, "mori")
        gateway = self._invited(mori)
        self._reset(mori, gateway, anchor)
        self._lose(mori, gateway)
        self._screen.chapter("Two tenants")
        self._apart()

    # -- bought -------------------------------------------------------------------------------------------

    def _bond(self) -> Maker:
        with self._screen.step("Making a maker, its first box and its bond") as step:
            self._registry.ddns("policy", "set", ZONE, "methods=invitation,qr,voucher")
            maker = Maker(self._desk)
            self._stack.callback(maker.stop)
            bond = maker.bond()
            maker.start()
            box = maker.box("SN-0001")
            step.held(
                f"Bond {bond} says which keys may vouch for whose boxes, and gives no right over a home. "
                f"The box {box.serial} has its maker's certificate.",
                f"openssl verify -CAfile {maker.folder}/ca.pem {box.files[0]}",
            )
            return maker

    def _scan(self, lee: Person, anchor: Anchor) -> Box:
        with self._screen.step("Scanning the code on a box") as step:
            box = Box(self._desk, "lee")
            code = box.code
            home = box.home_with(lee, "lee")
            self._until(lambda: self._prove(anchor, home, "KEY"))
            box.ddns("publish", "cam", "--address", SEEN)
            self._until(lambda: self._has(anchor, f"cam.{home}", "AAAA", SEEN))
            step.held(
                f"Two actions, nothing typed: {home} is its owner's, and its key validates from the registry's DS.",
                self._dig(f"cam.{home} AAAA"),
                notes=(f"On the box stands {code[:40]}…",),
            )
        with self._screen.step("A stranger signs as if it were his") as step:
            thief = Person(self._desk, "thief")
            done = thief.tries("say", "leave", home, *self._desk.known)
            if done.returncode not in (Exit.REFUSED, Exit.KEY):
                raise Broken(f"A stranger got somewhere with {home}: {(done.stderr or done.stdout).strip()}")
            step.held(f"It gives him nothing, not even whether there is such a home: {_sentence(done.stderr)}")
        return box

    def _vouched(self, maker: Maker, anchor: Anchor) -> None:
        with self._screen.step("The box asks for its maker's voucher, and for its home") as step:
            box = maker.box("SN-0002")
            said = box.voucher()
            home = box.enrol()
            self._until(lambda: self._prove(anchor, home, "KEY"))
            shown = json.loads(self._registry.ddns("home", "show", home, "--json"))
            step.held(
                f"The maker's voucher pins this registry for {said.serial_number}; by EST it became {home}, "
                f"of the tier {shown['keys'][0]['assurance']}.",
                f"openssl cms -cmsout -print -inform DER -in {box.voucher_file}",
            )

    def _without(self, maker: Maker) -> None:
        with self._screen.step("The maker goes out of business") as step:
            maker.stop()
            step.held("Its service is gone, for ever. Nothing that follows needs it.")

    # -- sold ---------------------------------------------------------------------------------------------

    def _sell(self, lee: Person, box: Box, anchor: Anchor) -> Person:
        home = "lee.homes.example"
        with self._screen.step("Somebody takes the box and scans its code") as step:
            box.ddns("reset", "--forget")
            refused = box.scanned_by(Person(self._desk, "finder"))
            if refused.returncode == 0:
                raise Broken("Somebody else got a home with a box that is not his.")
            step.held(f"The registry refuses him: {_sentence(refused.stderr)}")
        with self._screen.step("The seller releases it, the buyer scans it") as step:
            secret = lee.says("release", home, "--bearer").split()[-1]
            nova = Person(self._desk, "nova")
            taken = box.home_with(nova, "nova", "--secret", secret)
            self._until(lambda: self._prove(anchor, taken, "KEY"))
            self._until(lambda: self._prove(anchor, home, "SOA"))
            step.held(
                f"By the seller's signed word the box is at {taken}, a home of its buyer's own. "
                f"The name {home} stays the seller's.",
                self._dig(f"{home} SOA"),
                notes=("The word was good once, for this box, and the maker was not asked.",),
            )
            return nova

    def _steal(self, nova: Person, box: Box, anchor: Anchor) -> None:
        with self._screen.step("The buyer's box is stolen") as step:
            home = "nova.homes.example"
            nova.says("stolen", home)
            box.ddns("reset", "--forget")
            refused = box.scanned_by(Person(self._desk, "fence"))
            if refused.returncode == 0:
                raise Broken("A stolen box got a home.")
            self._prove(anchor, home, "SOA")
            step.held(f"Its key is revoked, the name is still hers, and nobody enrols it: {_sentence(refused.stderr)}")

    # -- reset and lost -----------------------------------------------------------------------------------

    def _invited(self, person: Person) -> Box:
        with self._screen.step("Another home, by invitation") as step:
            box = Box(self._desk, "mori")
            server, web = f"127.0.0.1:{self._registry.port}", f"{ZONE_SERVER}:{self._desk.web}"
            said = self._registry.ddns("home", "invite", "mori", "--server", server, "--web", web, "--json")
            line = json.loads(said)["invitation"]
            person.ddns("scan", line)
            box.asks("enrol", line, "--owner", str(person.folder / "owner.jwk"), "--wait", "1")
            person.ddns("accept", str(box.request))
            box.ddns("enrol", "--wait", "20")
            box.ddns("publish", "cam", "--address", SEEN)
            step.held("mori.homes.example has a gateway and an owner, each with a key of its own.")
        return box

    def _reset(self, person: Person, box: Box, anchor: Anchor) -> None:
        with self._screen.step("The gateway is reset to what it was in the shop") as step:
            box.ddns("reset")
            self._prove(anchor, "mori.homes.example", "SOA")
            box.asks("replace", "--wait", "1")
            person.ddns("accept", str(box.request))
            box.ddns("enrol", "--wait", "20")
            self._until(lambda: self._has(anchor, "cam.mori.homes.example", "AAAA", SEEN))
            step.held(
                "Its keys were wiped, the name stayed its owner's, and what it published is there again, under a new "
                "key.",
                self._dig("mori.homes.example KEY"),
            )

    def _lose(self, person: Person, old: Box) -> None:
        home = "mori.homes.example"
        with self._screen.step("A gateway without its key makes a new one known") as step:
            new = Box(self._desk, "mori-new")
            said = new.asks("key", "announce", home, "--server", f"127.0.0.1:{self._registry.port}")
            old.ddns("publish", "cam", "--address", SEEN)  # the old key still works
            person.says("approve-key", home, "--key", thumbprint(said))
            new.ddns("enrol", "--wait", "20")
            new.ddns("publish", "cam", "--address", SEEN)
            if old.tries("publish", "cam", "--address", "2001:db8::9").returncode == 0:
                raise Broken("The old key still works.")
            step.held(
                "It was trusted with nothing until the owner approved it; the old key worked until then, and is dead "
                "now."
            )

    # -- tenants ------------------------------------------------------------------------------------------

    def _apart(self) -> None:
        with self._screen.step("A reseller looks for a home that is not its own") as step:
            self._registry.ddns("tenant", "add", "reseller")
            made = json.loads(
                self._registry.ddns("token", "add", "--rights", "homes:read", "--tenant", "reseller", "--json")
            )
            status, said = self._desk.ask("GET", "/v1/homes/mori.homes.example/export", token=made["token"])
            nowhere, same = self._desk.ask("GET", "/v1/homes/nobody.homes.example/export", token=made["token"])
            if status == 200 or (status, said) != (nowhere, same):
                raise Broken("One tenant sees another's home, or that it is there.")
            step.held(
                f"It is told what is told of a name that nobody has: {said['detail']}",
                f"curl -sS --cacert {self._desk.certificate} --resolve {ZONE_SERVER}:{self._desk.web}:127.0.0.1 \\\n"
                f"  https://{ZONE_SERVER}:{self._desk.web}/v1/openapi.json",
            )

    # -- words --------------------------------------------------------------------------------------------

    def _has(self, anchor: Anchor, name: str, rdtype: str, value: str) -> None:
        proof = self._prove(anchor, name, rdtype)
        if value not in [str(one) for one in proof.rrset]:
            raise Broken(f"{name} has not the {rdtype} {value}.")

    def _until(self, look: Callable[[], object]) -> None:
        """Look again until what was done is visible. Raises `Broken`."""
        end = time.monotonic() + VISIBLE_TIMEOUT
        while time.monotonic() < end:
            with contextlib.suppress(Broken):
                look()
                return
            time.sleep(0.05)
        look()


def _sentence(said: str) -> str:
    """Return what a command said last, without its own name."""
    last = (said.strip().splitlines() or ["it said nothing."])[-1]
    return last.removeprefix("ddns: ").removeprefix("The registry refused it. ")
