"""The story, in its order: a registry, a home's gateway, a stranger, and the home moves."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import time
from pathlib import Path

from ddns.demo.camera import GREETING, Camera
from ddns.demo.liar import Liar
from ddns.demo.registry import Registry
from ddns.demo.screen import Broken, Screen
from ddns.demo.watch import Watch
from ddns.dns import names
from ddns.gateway import agent, pin
from ddns.gateway.invitation import BadInvitation, Invitation
from ddns.gateway.outcome import Status
from ddns.gateway.state import Device, Outcome
from ddns.gateway.state import read as read_state
from ddns.verifier import chain, dane
from ddns.verifier.chain import Anchor, Proof, Server

ZONE = "homes.example"
HOME = f"smith.{ZONE}"
CAM = f"cam.{HOME}"
TLSA = f"_443._tcp.{CAM}"
BEFORE, AFTER = "127.0.0.1", "127.0.0.2"  # addresses of this machine, so that the connections are real
VISIBLE_TIMEOUT = 10.0  # seconds

ZONE_FILE = """$TTL 300
@   SOA ns hostmaster 1 3600 600 86400 300
@   NS   ns
ns  A    127.0.0.1
ns  AAAA ::1
"""


class Story:
    """Tells it on *screen*; *program* is how the person calls our command. The *stack* keeps devices running."""

    def __init__(self, screen: Screen, registry: Registry, program: str, stack: contextlib.ExitStack) -> None:
        self._screen = screen
        self._registry = registry
        self._program = program
        self._stack = stack
        self._gateway = registry.folder / "gw"
        self._server = Server("127.0.0.1", registry.port)

    def tell(self) -> None:
        """Do every step. Raises `Broken` at the first one that does not hold."""
        self._screen.chapter("The registry")
        self._serve()
        anchor = self._sign()
        invitation = self._invite()
        self._screen.chapter("The gateway of the Smiths' home")
        self._enrol(invitation)
        camera = self._publish()
        self._screen.chapter("A stranger who trusts nothing but the registry's DS")
        address, proof = self._validate(anchor)
        self._connect(address, camera, proof)
        self._lie(anchor)
        self._impersonate(proof)
        self._screen.chapter("The home gets another address")
        self._renumber(anchor, camera)

    # -- the registry ---------------------------------------------------------------------------------------

    def _serve(self) -> None:
        with self._screen.step("Starting a database, the signer and the server") as step:
            self._registry.start()
            where = " and ".join(self._registry.addresses)
            step.held(
                f"A registry serves on {where}, port {self._registry.port}, on a PostgreSQL of its own.",
                notes=(f"Its state and its log are in {self._registry.folder}.",),
            )

    def _sign(self) -> Anchor:
        with self._screen.step(f"Creating and signing {ZONE}") as step:
            file = self._registry.folder / f"{ZONE}.zone"
            file.write_text(ZONE_FILE)
            self._registry.ddns("zone", "import", str(file), "--origin", ZONE)
            anchor = self._anchor()
            ds = anchor.ds[0]
            self._anchor_file.write_text(_trust_anchors(anchor))
            proof = self._signed(anchor)
            step.held(
                f"{ZONE} is signed, and its SOA validates from the DS {ds.key_tag} {int(ds.algorithm)} "
                f"{int(ds.digest_type)} {ds.digest.hex()[:8]}….",
                self._dig(f"{ZONE} DNSKEY +multiline"),
                notes=(f"Until {_clock(proof.until)}; the signer renews it long before.",),
            )
            return anchor

    def _anchor(self) -> Anchor:
        """Return the registry's DS as its operator gets it."""
        texts = re.findall(r"\bDS\s+(\d+ \d+ 2 [0-9A-Fa-f ]+)", self._registry.ddns("zone", "ds", ZONE))
        if not texts:
            raise Broken(f"`ddns zone ds {ZONE}` printed no DS record.")
        return Anchor.from_text(ZONE, *texts)

    def _signed(self, anchor: Anchor) -> Proof:
        """Wait until the zone is served as the signer signed it: a whole zone is signed after its commit."""
        end = time.monotonic() + VISIBLE_TIMEOUT
        while True:
            with contextlib.suppress(Broken):
                return self._prove(anchor, ZONE, "SOA")
            if time.monotonic() > end:
                return self._prove(anchor, ZONE, "SOA")
            time.sleep(0.02)

    def _invite(self) -> Invitation:
        with self._screen.step(f"Inviting {HOME}") as step:
            printed = self._registry.ddns("home", "invite", "smith", "--server", f"127.0.0.1:{self._registry.port}")
            found = re.search(r"ddns://\S+", printed)
            if found is None:
                raise Broken("`ddns home invite smith` printed no invitation.")
            try:
                invitation = Invitation.from_text(found[0])
            except BadInvitation as error:
                raise Broken(f"The invitation cannot be read: {error}.") from None
            step.held(
                f"The registry invited {HOME} with a key that can be spent once.",
                f"DDNS_STATE={self._registry.state} \\\n"
                f"  {self._program} home invite jones --server 127.0.0.1:{self._registry.port}",
            )
            return invitation

    # -- the gateway ----------------------------------------------------------------------------------------

    def _enrol(self, invitation: Invitation) -> None:
        with self._screen.step("The gateway makes its key and spends the invitation") as step:
            started = time.monotonic()
            outcome = agent.enrol(self._gateway, invitation)
            took = (time.monotonic() - started) * 1000
            _must(outcome)
            known = read_state(self._gateway)
            tag = known.key.rsplit("+", 1)[1] if known else "?"
            step.held(
                f"The gateway made P-256 key {tag} and, with one TSIG-signed update, traded the invitation for "
                f"{HOME}: a signed zone of its own, delegated with a DS, {took:.0f} ms.",
                self._dig(f"{HOME} KEY"),
                notes=("From now on it signs with its own key (SIG(0)); the invitation opens nothing any more.",),
            )

    def _publish(self) -> Camera:
        with self._screen.step(f"Publishing {CAM}") as step:
            here = ["127.0.0.1", AFTER, *(["::1"] if "::1" in self._registry.addresses else [])]
            camera = self._stack.enter_context(Camera(CAM, self._registry.folder, here))
            _must(self._set(camera, BEFORE))
            key = next(self._gateway.glob("K*.private"))
            step.held(
                f"A camera with a certificate that it made itself is at {BEFORE} and ::1, and the gateway published "
                "A, AAAA and TLSA 3 1 1 for it in one update.",
                self._dig(f"{TLSA} TLSA"),
                self._nsupdate(key),
                notes=(f"The TLSA is for port 443, where a camera would be; here it listens on port {camera.port}.",),
            )
            return camera

    def _set(self, camera: Camera, address: str) -> Outcome:
        device = Device((address, "::1"), (pin.from_file(443, camera.certificate),), 60)
        return agent.publish(self._gateway, CAM, lambda _: device)

    # -- the stranger ---------------------------------------------------------------------------------------

    def _validate(self, anchor: Anchor) -> tuple[str, Proof]:
        with self._screen.step("Validating from the DS down") as step:
            address = self._prove(anchor, CAM, "A")
            self._prove(anchor, CAM, "AAAA")
            proof = self._prove(anchor, TLSA, "TLSA")
            links = " → ".join(
                [
                    f"{ZONE} DS",
                    *(f"{one.name.removesuffix(ZONE).rstrip('.') or ZONE} {one.type}" for one in proof.steps),
                ]
            )
            step.held(
                f"A validator that shares no code with the signer checked {len(proof.steps)} signatures "
                "down to the camera's TLSA.",
                f"delv @127.0.0.1 -p {self._registry.port} -a {self._anchor_file} \\\n  +root={ZONE} {CAM} AAAA",
                notes=(f"{links}.",),
            )
            return str(address.rrset[0]), proof

    def _connect(self, address: str, camera: Camera, proof: Proof) -> None:
        with self._screen.step("Connecting over TLS, trusting no authority") as step:
            verdict = dane.connect(address, camera.port, CAM, proof.rrset, request=b"how is the garden?\n")
            if not verdict.trusted:
                raise Broken(verdict.sentence)
            if verdict.reply != GREETING:
                raise Broken(f"The camera said {verdict.reply!r}.")
            said = GREETING.decode().strip().removeprefix("200 ")
            step.held(
                f"A TLS client without any certification authority knows the camera by its TLSA: “{said}”.",
                f"openssl s_client -connect {address}:{camera.port} \\\n"
                f"  -dane_tlsa_domain {CAM} -dane_tlsa_rrdata \\\n"
                f'  "$(dig +short @127.0.0.1 -p {self._registry.port} {TLSA} TLSA)"',
            )

    def _lie(self, anchor: Anchor) -> None:
        with self._screen.step("Flipping one bit on the way") as step:
            liar = self._stack.enter_context(Liar(self._registry.port, names.from_text(CAM)))
            verdict = chain.validate(Server("127.0.0.1", liar.port), anchor, CAM, "A")
            if isinstance(verdict, Proof):
                raise Broken(f"The validator believed {verdict.rrset[0]}, which nobody signed.")
            if "does not verify" not in verdict.sentence:
                raise Broken(f"The altered answer was refused for another reason: {verdict.sentence}")
            step.held(
                "Somebody in between flips one bit of the camera's address: refused.",
                f"delv @127.0.0.1 -p {liar.port} -a {self._anchor_file} \\\n  +root={ZONE} {CAM} A",
                notes=(verdict.sentence,),
            )

    def _impersonate(self, proof: Proof) -> None:
        with self._screen.step("Connecting to an impostor") as step:
            folder = self._registry.folder / "impostor"
            folder.mkdir()
            with Camera(CAM, folder, ["127.0.0.1"]) as impostor:
                verdict = dane.connect("127.0.0.1", impostor.port, CAM, proof.rrset, request=b"how is the garden?\n")
            if verdict.trusted:
                raise Broken("The TLS client trusted a camera with another key.")
            step.held(
                "Another camera with the same name in its certificate, but another key: refused.",
                notes=(verdict.sentence,),
            )

    # -- the home moves -------------------------------------------------------------------------------------

    def _renumber(self, anchor: Anchor, camera: Camera) -> None:
        with self._screen.step("The gateway publishes another address") as step:
            wanted = ipaddress.ip_address(AFTER).packed
            with Watch("127.0.0.1", self._registry.port, names.from_text(CAM), wanted) as watch:
                time.sleep(0.1)  # the watch is asking before anything happens
                started = time.monotonic()
                outcome = self._set(camera, AFTER)
                answered = time.monotonic()
                _must(outcome)
                if not watch.wait(VISIBLE_TIMEOUT):
                    raise Broken(f"The new address was not visible after {VISIBLE_TIMEOUT:.0f} s.")
                seen = watch.seen
            proof = self._prove(anchor, CAM, "A")
            if str(proof.rrset[0]) != AFTER:
                raise Broken(f"{CAM} still has the address {proof.rrset[0]}.")
            tlsa = self._prove(anchor, TLSA, "TLSA")
            verdict = dane.connect(AFTER, camera.port, CAM, tlsa.rrset, request=b"still there?\n")
            if not verdict.trusted:
                raise Broken(verdict.sentence)
            step.held(
                f"The home moved to {AFTER}. The new signed address was visible {_ms(min(seen) - started)} after the "
                f"gateway learned of it, and on every worker after {_ms(max(seen) - started)}; "
                f"its NOERROR came after {_ms(answered - started)}.",
                self._dig(f"{CAM} A +dnssec"),
                notes=("It validates from the same DS, and the camera is known there too.",),
            )

    # -- words ----------------------------------------------------------------------------------------------

    @property
    def _anchor_file(self) -> Path:
        return self._registry.folder / "anchor"

    def _prove(self, anchor: Anchor, name: str, rdtype: str) -> Proof:
        self._registry.check()
        verdict = chain.validate(self._server, anchor, name, rdtype)
        if not isinstance(verdict, Proof):
            raise Broken(verdict.sentence)
        return verdict

    def _dig(self, what: str) -> str:
        return f"dig @127.0.0.1 -p {self._registry.port} +norec {what}"

    def _nsupdate(self, key: Path) -> str:
        return (
            f"printf '%s\\n' 'server 127.0.0.1 {self._registry.port}' \\\n"
            f"  'update add note.{HOME}. 60 TXT \"by nsupdate\"' send |\n"
            f"  nsupdate -k {key}"
        )


def _must(outcome: Outcome) -> None:
    if outcome.status != Status.DONE:
        raise Broken(outcome.sentence)


def _trust_anchors(anchor: Anchor) -> str:
    """Return *anchor* as delv's -a option reads it."""
    lines = [
        f'  "{ZONE}." static-ds {ds.key_tag} {int(ds.algorithm)} {int(ds.digest_type)} "{ds.digest.hex().upper()}";'
        for ds in anchor.ds
    ]
    return "\n".join(["trust-anchors {", *lines, "};", ""])


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def _clock(at: int) -> str:
    return time.strftime("%d %B %H:%M", time.localtime(at))
