"""Each arrow of docs/explanation/threat-model.md is shown by a test that is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/threat-model.md").read_text()
ARROW = re.compile(
    r"^\| (?P<who>[^|]+) \| (?P<must_not>[^|]+) \| `(?P<file>tests/[^:`]+)::(?P<test>test_\w+)` \|$", re.MULTILINE
)
ARROWS = [(one["file"], one["test"]) for one in ARROW.finditer(PAGE)]
OF_A_PARTY = re.compile(r"^(?:async )?def (test_\w+_cannot_\w+)\(", re.MULTILINE)


def table():
    """Return the rows of the table of arrows."""
    part = PAGE.split("## Each arrow", 1)[1].split("\n## ", 1)[0]
    return [line for line in part.splitlines() if line.startswith("| ") and not line.startswith("| Who |")]


def test_every_row_of_the_table_names_one_test():
    assert len(table()) == len(ARROWS) > 50


@pytest.mark.parametrize(("file", "test"), ARROWS)
def test_the_test_of_an_arrow_is_there(file, test):
    assert re.search(rf"^(?:async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_every_test_of_an_arrow_stands_in_the_table():
    """What was tried and is not said is as bad as what is said and was not tried."""
    written = {
        name for path in (ROOT / "tests/arrows").glob("test_*.py") for name in OF_A_PARTY.findall(path.read_text())
    }

    assert written - {test for _, test in ARROWS} == set()
