"""What docs/reference/mti.md says must be spoken is shown, row by row, by a test that is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/mti.md").read_text()
ROWS = [
    line.split(" | ")
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| Who |", "|---"))
]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)))


def test_every_row_says_who_what_by_which_section_and_which_test():
    assert len(ROWS) >= 28
    for row in ROWS:
        assert len(row) == 4, row
        assert re.search(r"RFC \d+|draft-|IEEE|Wi-Fi|enrolment-protocol\.md", row[2]), row
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row[3]), row


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[test for _file, test in NAMED])
def test_the_test_of_a_row_is_there(file, test):
    assert re.search(rf"^(?:async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_each_party_has_something_that_it_must():
    must = PAGE.split("## Optional")[0]

    for party in ("registry", "box", "phone", "MASA", "verifier", "resolver", "secondary", "parent"):
        assert re.search(rf"^\| [^|]*\b{party}\b", must, re.MULTILINE), party
