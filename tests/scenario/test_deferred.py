"""The registry is away, and the box loses its power in between: it ends enrolled all the same, with the same key."""

import pytest
from desk import Desk
from enrolling import Home
from service import eventually

from ddns.gateway import enrolling


@pytest.fixture
def desk():
    with Desk().running() as desk:
        yield desk


def test_what_nobody_could_take_is_taken_later_and_once(desk):
    """Row 37: each try is a process of its own, as after a power cut; the wish, the key and the tries outlive them."""
    home = Home(desk, "late")
    line = home.invite()
    desk.stop()

    home.at_gateway("enrol", line, "--https", "--cafile", str(desk.certificate), "--wait", "1", status=4)
    first = enrolling.waiting(home.gateway)
    home.at_gateway("enrol", "--wait", "1", status=4)
    second = enrolling.waiting(home.gateway)
    desk.start()
    home.at_gateway("enrol", "--wait", "60")

    assert (first.statement, first.tries, second.statement, second.tries) == (second.statement, 1, first.statement, 2)
    assert enrolling.waiting(home.gateway) is None
    eventually(lambda: desk.values(home.name, "KEY"))
    home.at_gateway("publish", "cam", "--address", "2001:db8::e")
    assert "already" in home.at_gateway("enrol", line), "the same command again is no harm"


def test_a_phone_carries_the_wish_of_a_box_without_the_internet(desk):
    """The box reaches nobody; its signed wish, which holds no secret, goes by the phone to where the registry is."""
    home = Home(desk, "carried")
    line = home.invite()
    nowhere = line.replace(f"@127.0.0.1:{desk.port}/", "@127.0.0.2:9/")
    home.at_gateway("enrol", nowhere, "--https", "--cafile", str(desk.certificate), "--wait", "1", status=4)
    secret = line.split(":", 2)[2].split("@")[0]

    home.at_phone("scan", line)
    home.at_phone("carry", home.request)

    assert secret not in (home.gateway / "request.jws").read_text()
    eventually(lambda: desk.values(home.name, "KEY"))
    home.at_gateway("enrol", line, "--https", "--wait", "60")
    home.at_gateway("publish", "cam", "--address", "2001:db8::f")
