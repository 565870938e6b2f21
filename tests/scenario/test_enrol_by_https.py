"""A home comes to be by HTTPS: gateway and owner sign, an invitation is spent, and the home is signed and published."""

import json
import re

import pytest
from desk import NAME, Desk
from service import eventually


@pytest.fixture(scope="module")
def desk():
    running = Desk()
    try:
        running.set_up().start()
        yield running
        running.stop()
    finally:
        running.remove()


class Home:
    """A gateway and a phone with folders of their own, invited to one home."""

    def __init__(self, desk, label):
        self.desk = desk
        self.name = f"{label}.homes.example."
        self.gateway, self.phone = desk.folder / f"{label}-gateway", desk.folder / f"{label}-phone"

    def invite(self, *words):
        """Return the invitation's line."""
        web = f"{NAME}:{self.desk.web}"
        said = self.desk.ddns(
            "home", "invite", self.name, "--server", f"127.0.0.1:{self.desk.port}", "--web", web, *words
        )
        return re.search(r"ddns://\S+", said).group()

    def at_gateway(self, *words, status=0):
        return self.desk.ddns("gateway", *words, "--home", str(self.gateway), status=status)

    def at_phone(self, *words, status=0):
        return self.desk.ddns("phone", *words, "--phone", str(self.phone), status=status)

    def enrolled(self):
        """Invite, enrol and accept, with all that is typed nowhere."""
        line = self.invite()
        self.at_phone("make")
        self.at_phone("scan", line)
        self.at_gateway("enrol", line, "--owner", str(self.phone / "owner.jwk"), "--wait", "1", status=7)
        self.at_phone("accept", str(self.gateway / "request.jws"))
        self.at_gateway("enrol", "--wait", "20")
        return self


def test_a_home_with_an_owner_is_made_signed_and_published(desk):
    """Scan, accept, done: its key stands at its apex, its DS in the registry's zone, and it publishes."""
    home = Home(desk, "smith").enrolled()

    assert (
        "IN KEY" in home.at_gateway("status", "--json")
        or json.loads(home.at_gateway("status", "--json"))["enrolled_at"]
    )
    eventually(lambda: desk.values(home.name, "KEY"))
    eventually(lambda: desk.values(home.name, "DS"))
    home.at_gateway("publish", "cam", "--address", "2001:db8::7")
    assert desk.values(f"cam.{home.name}", "AAAA") == ["2001:db8::7"]
    shown = json.loads(desk.ddns("home", "show", home.name, "--json"))
    assert shown
