"""A gateway and a phone with folders of their own, invited to one home: what scenarios of owners are made of."""

import json
import re

from desk import NAME


class Home:
    """The home *label* below homes.example, its gateway's folder and its owner's."""

    def __init__(self, desk, label, phone=""):
        self.desk = desk
        self.name = f"{label}.homes.example."
        self.gateway, self.phone = desk.folder / f"{label}-gateway", desk.folder / f"{phone or label}-phone"

    def invite(self, *words):
        """Return the invitation's line."""
        server, web = f"127.0.0.1:{self.desk.port}", f"{NAME}:{self.desk.web}"
        said = self.desk.ddns("home", "invite", self.name, "--server", server, "--web", web, *words)
        return re.search(r"^ddns://\S+", said, re.MULTILINE).group()

    def at_gateway(self, *words, status=0):
        return self.desk.ddns("gateway", *words, "--home", str(self.gateway), status=status)

    def at_phone(self, *words, status=0):
        return self.desk.ddns("phone", *words, "--phone", str(self.phone), status=status)

    @property
    def owner(self):
        """Return the path of the owner's public key."""
        return str(self.phone / "owner.jwk")

    @property
    def request(self):
        """Return the path of what the phone is handed."""
        return str(self.gateway / "request.jws")

    @property
    def state(self):
        """Return what the gateway knows."""
        return json.loads((self.gateway / "gateway.json").read_text())

    def asked(self):
        """Invite, make an owner's key, and have the gateway ask to be accepted."""
        line = self.invite()
        self.at_phone("make")
        self.at_phone("scan", line)
        self.at_gateway("enrol", line, "--owner", self.owner, "--wait", "1", status=7)
        return self

    def enrolled(self):
        """Have the owner accept, too."""
        self.asked()
        self.at_phone("accept", self.request)
        self.at_gateway("enrol", "--wait", "60")
        return self

    def post(self, path, octets):
        """Post a statement as it is, and return the answer."""
        return self.desk.ask_web("POST", path, octets, headers={"Content-Type": "application/jose+json"})
