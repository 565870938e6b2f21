"""Two tenants of one registry, and the wall between them."""

from __future__ import annotations

import json

from ddns.demo.scene import Scene
from ddns.demo.screen import Broken

_READ = "/v1/homes/{}/export"


def apart(scene: Scene) -> None:
    """Have a reseller look for a home that is another tenant's."""
    scene.chapter("Two tenants")
    with scene.step("A reseller looks for a home that is not its own") as step:
        desk = scene.desk
        desk.ddns("tenant", "add", "reseller")
        made = json.loads(desk.ddns("token", "add", "--rights", "homes:read", "--tenant", "reseller", "--json"))
        theirs, nobodys = _READ.format("mori.homes.example"), _READ.format("nobody.homes.example")
        there, said = desk.ask("GET", theirs, token=made["token"])
        nowhere, same = desk.ask("GET", nobodys, token=made["token"])
        if there == 200 or (there, said) != (nowhere, same):
            raise Broken("One tenant sees another's home, or that it is there.")
        header = desk.folder / "reseller.header"
        header.write_text(f"Authorization: Bearer {made['token']}\n")
        header.chmod(0o600)
        step.held(
            f"A reseller asks for a home of another, and hears what is said of names that nobody has: {said['detail']}",
            scene.curl(theirs, f"-H @{header}"),
            scene.curl(nobodys, f"-H @{header}"),
        )
