"""The six stories of docs/tutorial/stories: their commands are run as they stand there, in order, on one registry."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from boxes import SETTINGS
from desk import Desk
from ports import free_port
from service import eventually
from tools import need

pytestmark = pytest.mark.timeout(1800)
FOLDER = Path(__file__).parents[2] / "docs/tutorial/stories"
PAGES = ("operator", "owner", "device", "resolver-user", "vendor", "auditor")


class Town:
    """A registry as the first page starts it, and what each page said when its commands were run."""

    def __init__(self, desk):
        self.desk = desk
        self.masa = free_port()
        self.said = {}
        self._service = None

    def follow(self, page):
        """Run all blocks of commands of *page*, in order; none may fail."""
        ports = {"5300": self.desk.port, "8443": self.desk.web, "8444": self.desk.devices, "9443": self.masa}
        for block in re.findall(
            r"^```(sh)?\n(.*?)^```$", (FOLDER / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL
        ):
            script = re.sub(r"\b(5300|8443|8444|9443)\b", lambda found: str(ports[found[0]]), block[1])
            if block[0]:
                self._run(page, script)
            elif script.startswith("ddns masa serve"):
                self._start(script.split()[1:])

    def _run(self, page, script):
        # What the page says to fail with some status must not succeed either.
        script = re.sub(r"\|\| (test \$\? = \d)", r"&& exit 99 || \1", script)
        words = f'ddns() {{ "{sys.executable}" -m ddns.cli "$@"; }}\nset -e -o pipefail\n{script}'
        done = subprocess.run(
            [need("bash"), "-c", words], cwd=self.desk.folder, env=self.desk.environment(), capture_output=True,
            text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        self.said[page] = self.said.get(page, "") + done.stdout + done.stderr

    def _start(self, words):
        self._service = subprocess.Popen(
            [sys.executable, "-m", "ddns.cli", *words], cwd=self.desk.folder, env=self.desk.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert b"answers" in self._service.stdout.readline()

    def stop(self):
        if self._service is not None:
            self._service.kill()
            self._service.communicate()


@pytest.fixture(scope="module")
def town():
    for program in ("openssl", "dig", "dnssec-verify", "curl"):
        need(program)
    with Desk(settings=SETTINGS).running() as desk:
        told = Town(desk)
        try:
            for page in PAGES:
                told.follow(page)
            yield told
        finally:
            told.stop()


def test_every_page_is_a_story_and_the_first_page_lists_it():
    listed = re.findall(r"\]\(([a-z-]+)\.md\)", (FOLDER / "README.md").read_text())

    assert tuple(listed) == PAGES
    assert {path.stem for path in FOLDER.glob("*.md")} == {*PAGES, "README"}
    for page in PAGES:
        text = (FOLDER / f"{page}.md").read_text()
        assert re.findall(r"^\*\*(Who|Wants)\.\*\*", text, re.MULTILINE) == ["Who", "Wants"], page
        assert re.findall(r"^## What (?:\w+) (do|is)", text, re.MULTILINE), page


def test_the_operator_knows_who_has_which_home_and_why_one_was_held(town):
    assert "is kept back by the policy" in town.said["operator"]
    assert "it sends spam; call us" in town.said["operator"]
    assert [
        one["home"] for one in json.loads(town.desk.ddns("home", "search", "--tenant", "isp", "--json"))["homes"]
    ] == ["cooper.homes.example."]


def test_the_owner_keeps_the_name_whatever_becomes_of_the_box(town):
    assert "smith.homes.example. is yours" in town.said["owner"]
    assert "gateway.replaced" in town.said["owner"]
    eventually(lambda: town.desk.values("nas.smith.homes.example.", "A") == ["192.0.2.9"])


def test_the_device_has_its_next_key_beside_the_first(town):
    eventually(lambda: len(town.desk.values("_443._tcp.cam.smith.homes.example.", "TLSA")) == 2)
    assert len(re.findall(r"^3 1 1 ", town.said["device"], re.MULTILINE)) >= 1
    eventually(lambda: town.desk.values("lamp.smith.homes.example.", "A") == ["192.0.2.81"])


def test_the_user_believes_the_camera_and_neither_of_the_others(town):
    said = town.said["resolver-user"]

    assert said.count("is who its registry says") == 1
    assert "another key" in said or "not the one" in said


def test_the_vendors_box_has_a_home_by_itself_and_the_vendor_none(town):
    assert "A vendor vouches for new boxes and for nothing else" in town.said["vendor"]
    assert '"transfers":0' in town.said["vendor"].replace(" ", ""), "row 36: nobody had it before"
    state = json.loads((town.desk.folder / "crate/gateway.json").read_text())
    eventually(lambda: town.desk.values(f"cam.{state['home']}", "A") == ["192.0.2.90"])


def test_the_auditor_finds_what_was_agreed_and_the_reasons(town):
    smith = json.loads((town.desk.folder / "smith.json").read_text())

    assert [key["assurance"] for key in smith["keys"]] == ["token"]
    assert "it sends spam; call us" in town.said["auditor"]
    assert "SN-1001" in town.said["auditor"]
