"""The commands of the pages for operators of many homes, run as they stand there, beside a running service."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from service import Service
from tools import need

HOWTO = Path(__file__).parents[2] / "docs/howto"


@pytest.fixture
def service():
    running = Service("--workers", "1")
    try:
        running.ddns("zone", "add", "homes.example")
        running.start()
        yield running
        running.stop()
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
        running.remove()


def follow(service, page):
    """Run all blocks of commands of *page*, in order, in one folder; none may fail."""
    for block in re.findall(r"^```sh\n(.*?)^```", (HOWTO / page).read_text(), re.MULTILINE | re.DOTALL):
        done = subprocess.run(
            [need("bash"), "-e", "-c", f'ddns() {{ "{sys.executable}" -m ddns.cli "$@"; }}\n{block}'],
            cwd=service.folder, env=service.environment(), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"


def test_homes_are_run_for_a_tenant_as_the_page_says(service):
    follow(service, "run-for-tenants.md")

    shown = json.loads(service.ddns("tenant", "show", "isp", "--json"))
    assert (shown["state"], shown["homes"], shown["homes_most"]) == ("active", 1, 10_000)
    policy = json.loads(service.ddns("policy", "show", "homes.example", "--tenant", "isp", "--json"))
    assert (policy["label_least"], policy["reserved"], sorted(policy["types"])) == (3, ["bank*", "city"], ["MX", "NS"])
    (lock,) = policy["kinds"]
    assert (lock["kind"], set(lock["labels"]), lock["least"]) == ("lock", {"lock", "lock-*"}, "attested")
    events = [one["event"] for one in json.loads(service.ddns("home", "history", "smith", "--json"))]
    assert events[-2:] == ["suspend", "release-hold"]
    service.ddns("home", "add", "ab", "--tenant", "isp", status=1)  # shorter than its policy takes
    assert json.loads(service.ddns("policy", "show", "homes.example", "--json"))["types"] == []


def test_many_homes_are_enrolled_as_the_page_says(service):
    follow(service, "enrol-homes.md")

    with (service.folder / "invitations.csv").open(encoding="utf-8", newline="") as stream:
        invited = {row["home"]: row["invitation"] for row in csv.DictReader(stream)}
    assert set(invited) == {f"{label}.homes.example." for label in ("smith", "jones", "xn--mller-kva")}
    assert all(line.startswith("ddns://") for line in invited.values())
    assert (service.folder / "invitations.csv").stat().st_mode & 0o077 == 0
    again = json.loads(service.ddns("home", "invite", "--file", "people.csv", "--json"))
    assert {one["home"]: one["new"] for one in again["invited"]} == dict.fromkeys(invited, False)
    homes = json.loads(service.ddns("home", "search", "--json"))["homes"]
    assert [one["home"] for one in homes] == ["doe.homes.example.", "roe.homes.example."]
    twice = json.loads(service.ddns("home", "import", "--csv", "homes.csv", "--registry", "homes.example", "--json"))
    assert (twice["made"], twice["there"]) == (0, 2)
