"""The page that works as the phone, by its own modules in node: with a real desk, and boxes that wait for a phone."""

import contextlib
import json
import re
import threading
from pathlib import Path

import pytest
from desk import Desk
from enrolling import Home
from phone_page import Wrong, node
from service import eventually

from ddns.gateway import pairing, reset
from ddns.gateway.pair_server import Door


@pytest.fixture(scope="module")
def desk():
    with Desk().running(policy="methods=invitation,qr") as desk:
        yield desk


@pytest.fixture(scope="module")
def page():
    with node() as one:
        yield one


class Person:
    """Somebody with the page open, in a browser of his own; *late* is by how many seconds his clock is behind."""

    def __init__(self, page, desk, who, late=0):
        self.page, self.desk, self.who = page, desk, who
        # A browser believes an authority that knows the name; here it believes the desk's own certificate.
        page("person", who=who, base=desk.url, ca=desk.certificate.read_text(), late=late, back=self.back)

    @property
    def back(self):
        return f"https://localhost:{self.desk.web}/phone"

    def __call__(self, verb, *args):
        return self.page("owner", who=self.who, verb=verb, args=args)

    def began(self):
        """Make the keys, write the code down, and return it."""
        code = self("begin")
        self("written", code[-4:])
        return code

    def scan(self, box, **words):
        """Scan the box's code and go there and back; return what is asked."""
        said = {"code": box.code, "door": f"127.0.0.1:{box.port}", "registry": "homes.example", **words}
        return self("hear", self.page("follow", link=self("scan", said)))

    def home(self, name):
        return next((one for one in self("look")["homes"] if one["home"] == name), None)


class Box(Home):
    """A box with a code on it, whose own page is open to a browser in its network."""

    def __init__(self, desk, label):
        super().__init__(desk, label)
        self.code = pairing.printed(self.gateway)
        self.door = None

    @property
    def port(self):
        return self.door.server_port

    @contextlib.contextmanager
    def waiting(self):
        """Wait for a phone, until the box has a home or the test has gone on."""
        over = threading.Event()
        with Door(("127.0.0.1", 0), self.gateway) as self.door:
            self.door.timeout = 0.1  # seconds between two looks at whether it is over

            def serve():
                while not over.is_set():
                    self.door.handle_request()

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield self
            finally:
                over.set()
                thread.join()


def accepted(page, person, box, **words):
    """Have a person scan a box, accept and tell it; return the home."""
    with box.waiting():
        asked = person.scan(box, **words)
        home = person("accept")
        assert asked["home"] == home
        # The box takes it as soon as the workers have heard of its key.
        said = eventually(lambda: page("follow", link=person("tell")).get("said"))
        assert "is this gateway's" in said
    return home


def test_a_page_scans_accepts_and_tells_the_box_and_the_box_publishes(desk, page):
    """The name that is shown is the one that it gets, though nobody chose it."""
    person, box = Person(page, desk, "first"), Box(desk, "first")
    person.began()

    home = accepted(page, person, box)

    assert home.endswith(".homes.example.")
    eventually(lambda: desk.values(home, "KEY"))
    box.at_gateway("publish", "cam", "--address", "2001:db8::8")
    eventually(lambda: desk.values(f"cam.{home}", "AAAA") == ["2001:db8::8"])
    assert person.home(home)["state"] == "active"


def test_the_recovery_key_comes_first_and_the_registry_knows_it_after_the_first_accept(desk, page):
    """Nothing is accepted before it is on paper; its private half leaves the page when the registry knows it."""
    person = Person(page, desk, "careful")
    with Box(desk, "careful").waiting() as box:
        with pytest.raises(Wrong, match="recovery code"):
            person.scan(box)
        code = person("begin")
        with pytest.raises(Wrong, match="recovery code"):
            person.scan(box)
        with pytest.raises(Wrong, match="last group"):
            person("written", "AAAA" if code[-4:] != "AAAA" else "BBBB")
        person("written", f" {code[-4:].lower()} ")
        assert page("kept", who="careful") == {"owner": False, "recovery": False, "paper": "no key"}
        person.scan(box, label="careful")
        home = person("accept")

    assert home == "careful.homes.example."
    assert "recovery" not in page("kept", who="careful")
    found = eventually(lambda: person.home(home))
    assert sorted(one["role"] for one in found["owner_keys"]) == ["owner", "recovery"]
    assert {one["kind"] for one in person("look")["notices"]} >= {"home.enrolled", "owner.key-added"}

    other = Person(page, desk, "other-browser")
    other.began()
    slip = code[:-1] + ("7" if code[-1] != "7" else "8")
    with pytest.raises(Wrong, match="slip"):
        other("recover", slip, "homes.example")
    assert isinstance(other("recover", code, "homes.example"), int)
    assert "owner.recovery" in {one["kind"] for one in person("look")["notices"]}
    person("objectRecovery")
    assert "owner.recovery-objected" in {one["kind"] for one in person("look")["notices"]}


def test_a_page_lets_a_box_go_and_its_buyer_enrols_it(desk, page):
    """Scanned, accepted, released, and scanned by somebody else with what the seller gave him, and not without."""
    seller, buyer = Person(page, desk, "seller"), Person(page, desk, "buyer", late=4000)
    for one in (seller, buyer):
        one.began()
    box = Box(desk, "for-sale")
    home = accepted(page, seller, box, label="for-sale")
    secret = seller("release", home, 30)
    reset.wipe(box.gateway, forget=True)
    eventually(lambda: desk.values(home, "KEY") == [])
    with box.waiting():
        buyer.scan(box, label="bought")
        with pytest.raises(Wrong, match="no release of this box for you"):
            buyer("accept")
    assert accepted(page, buyer, box, label="bought", secret=secret) == "bought.homes.example."

    assert buyer.home(home) is None, "the name stays the seller's"
    assert seller.home(home)["device"] is None
    with pytest.raises(Wrong):
        buyer("say", "leave", home)


def test_an_owner_approves_a_key_reports_finds_leaves_and_returns(desk, page):
    """What waits has the thumbprint that its gateway shows; the old key is dead when it is approved."""
    person, box = Person(page, desk, "ways"), Box(desk, "ways")
    person.began()
    home = accepted(page, person, box, label="ways")
    box.gateway = desk.folder / "ways-new-box"
    said = box.at_gateway("key", "announce", home, "--server", f"127.0.0.1:{desk.port}", status=7)
    thumbprint = re.search(r"--key (\S{43})", said).group(1)

    eventually(lambda: [one["thumbprint"] for one in person.home(home)["pending_keys"]] == [thumbprint])
    person("say", "approve-key", home, {"key": thumbprint})
    assert person.home(home)["pending_keys"] == []
    assert person("say", "stolen", home)["box"] == "stolen"
    assert person("say", "found", home)["box"] == "owned"
    assert person("say", "leave", home)["state"] == "closed"
    assert person.home(home)["state"] == "closed"
    assert person("say", "return", home)["state"] == "keyless"
    with pytest.raises(Wrong) as refused:
        person("say", "object", home)
    assert refused.value.code


def test_what_a_gateway_was_invited_to_is_accepted_from_its_file(desk, page):
    """As `ddns phone accept` does with `request.jws`: the owner's signature stands beside the gateway's."""
    person = Person(page, desk, "invited")
    person.began()
    box = Box(desk, "invited")
    jwk = desk.folder / "page-owner.jwk"
    jwk.write_text(json.dumps(person("who")["key"]))
    box.at_gateway("enrol", box.invite(), "--owner", str(jwk), "--wait", "1", status=7)
    request = Path(box.request).read_text()

    asked = person("request", request)

    assert (asked["act"], asked["home"]) == ("enrol", "invited.homes.example.")
    assert person("accept") == "invited.homes.example."
    box.at_gateway("enrol", "--wait", "60")
    assert person.home("invited.homes.example.")["state"] == "active"
    for text in (request.replace("a", "b"), "{}", json.dumps({"payload": "e30", "signatures": []})):
        with pytest.raises(Wrong):
            person("request", text)


def test_who_answers_for_the_box_is_not_believed(desk, page):
    """Another box at that address, another's answer, and an answer that nobody asked for."""
    person = Person(page, desk, "wary")
    person.began()
    with pytest.raises(Wrong, match="No box was asked"):
        person("hear", {"wish": "e30"})
    with Box(desk, "wary-other").waiting() as other, Box(desk, "wary-mine").waiting() as mine:
        link = person("scan", {"code": mine.code, "door": f"127.0.0.1:{other.port}", "registry": "homes.example"})
        with pytest.raises(Wrong, match="The box says"):
            person("hear", page("follow", link=link))
        before = page("follow", link=person("scan", {
            "code": mine.code, "door": f"127.0.0.1:{mine.port}", "registry": "homes.example",
        }))  # fmt: skip
        person("scan", {"code": other.code, "door": f"127.0.0.1:{other.port}", "registry": "homes.example"})
        with pytest.raises(Wrong, match="not the box"):
            person("hear", before)
        with pytest.raises(Wrong, match="signed"):
            person("hear", {"wish": "e30"})
    with pytest.raises(Wrong, match="Nothing waits"):
        person("accept")
    away = page("follow", link=link)
    assert "does not answer" in away["refused"]


def test_the_page_speaks_to_its_desk_alone_and_nothing_becomes_a_part_of_it(desk):
    page = desk.ask_web("GET", "/phone", headers={"Accept": "text/html"})
    policy = page.headers["content-security-policy"]

    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    for said in ("default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'",
                 "require-trusted-types-for 'script'", "form-action 'none'"):  # fmt: skip
        assert said in policy
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    scripts = {"/phone.mjs"}
    for path in list(scripts):
        scripts |= {f"/phone/{one}" for one in re.findall(r'"\./phone/(\w+\.mjs)"', _got(desk, path))}
    assert len(scripts) > 4
    for path in scripts:
        _got(desk, path)
    assert desk.ask_web("GET", "/phone/secrets.mjs").status == 404
    assert desk.ask_web("GET", "/phone/..%2Fe.mjs").status == 404


def test_the_page_of_an_invitation_speaks_to_nobody(desk):
    page = desk.ask_web("GET", "/e", headers={"Accept": "text/html"})

    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "connect-src 'none'" in page.headers["content-security-policy"]
    for path in ("/e.mjs", "/invitation.mjs"):
        _got(desk, path)


def _got(desk, path):
    answer = desk.ask_web("GET", path, headers={"Accept": "*/*"})
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/javascript"), path
    return answer.body.decode()


def test_a_desk_says_that_its_page_frightens_browsers(desk):
    """With the service's own certificate, which DANE vouches for and no browser knows."""
    assert "its page /phone frightens people" in desk.log.read_text()
