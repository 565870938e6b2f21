"""A home leaves with all that is its own, and is the same zone elsewhere."""

import json

import pytest
from desk import Desk
from registry import keygen
from service import Service


@pytest.fixture(scope="module")
def desk():
    with Desk().running() as desk:
        keygen(desk.folder, "smith.homes.example", "ECDSAP256SHA256")
        (public,) = desk.folder.glob("Ksmith*.key")
        desk.ddns("home", "add", "smith", "--sig0", public)
        desk.ddns("home", "add", "jones")
        yield desk


@pytest.fixture
def elsewhere():
    """Another registry, on its own database."""
    one = Service()
    yield one
    one.remove()


def records(text):
    """Return the records of a master file but for the serial, which counts on by itself."""
    found = set()
    for line in text.splitlines():
        fields = line.split()
        if fields[3] == "SOA":
            fields[6] = "-"
        found.add(tuple(fields))
    return found


def test_the_files_are_the_same_zone_elsewhere(desk, elsewhere, tmp_path):
    said = desk.ddns("home", "export", "smith.homes.example", "--to", tmp_path / "smith")

    file = tmp_path / "smith" / "smith.homes.example.zone"
    elsewhere.ddns("zone", "import", file, "--origin", "smith.homes.example")
    assert records(elsewhere.ddns("zone", "export", "smith.homes.example")) == records(file.read_text())
    assert "KEY" in file.read_text()
    assert str(file) in said
    signed = (tmp_path / "smith" / "smith.homes.example.signed.zone").read_text()
    assert "RRSIG" in signed
    about = json.loads((tmp_path / "smith" / "smith.homes.example.json").read_text())
    assert about["home"] == "smith.homes.example."
    assert [one["kind"] for one in about["keys"]] == ["sig0"]
    assert about["keys"][0]["record"] in " ".join(file.read_text().split())
    assert [one["event"] for one in about["events"]]


def test_files_that_are_there_are_kept(desk, tmp_path):
    (tmp_path / "smith.homes.example.zone").write_text("mine")

    assert "already" in desk.ddns("home", "export", "smith.homes.example", "--to", tmp_path, status=1)
    assert (tmp_path / "smith.homes.example.zone").read_text() == "mine"


def test_the_api_gives_the_same(desk):
    token = desk.token("homes:read")
    path = "/v1/homes/smith.homes.example/export"

    whole = desk.ask_web("GET", path, token=token)
    file = desk.ask_web("GET", path, token=token, headers={"Accept": "text/dns"})

    assert whole.status == 200, whole
    said = json.loads(desk.ddns("home", "export", "smith.homes.example"))
    assert whole.json["zone"] == said["zone"] == file.body.decode()
    assert whole.json["about"]["keys"] == said["keys"]
    assert file.headers["content-type"] == "text/dns"


@pytest.mark.parametrize("name", ["nobody.homes.example", "homes.example", "x" * 70, "%FF", "a..b"])
def test_what_is_no_home_is_not_found(desk, name):
    refused = desk.ask_web("GET", f"/v1/homes/{name}/export", token=desk.token("homes:read"))

    assert (refused.status, refused.json["code"]) == (404, "not-found")


def test_a_home_of_another_tenant_is_not_found(desk):
    desk.ddns("tenant", "add", "other")
    token = desk.token("homes:read", tenant="other")

    refused = desk.ask_web("GET", "/v1/homes/smith.homes.example/export", token=token)

    assert (refused.status, refused.json["code"]) == (404, "not-found")


def test_a_zone_that_is_no_home_is_said_so(desk):
    assert "is no home" in desk.ddns("home", "export", "homes.example", status=1)
