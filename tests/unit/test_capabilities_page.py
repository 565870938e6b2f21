"""docs/reference/capabilities.md says what can be done with homes; each command and test that it names is there."""

import re
from pathlib import Path

import click
import pytest

from ddns.cli import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/capabilities.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| [\d+]", line)]
WISHES = {9, 12, 14, 15, *range(22, 27), 35, 36, 37, 39, 41, 42, 44, *range(46, 50), *range(52, 57), 58, 59, 61}
COMMANDS = sorted({one for row in ROWS for one in re.findall(r"`(ddns [^`]+)`", row[2])})
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)))


def test_every_wish_for_homes_has_its_row():
    assert sorted(int(row[0]) for row in ROWS if row[0] != "+") == sorted(WISHES)
    for row in ROWS:
        assert len(row) == 4, row
        assert row[2].startswith(("`ddns ", "none: ")), row


@pytest.mark.parametrize("words", COMMANDS)
def test_the_command_of_a_row_is_there(words):
    command, context, options = cli, click.Context(cli), []
    for word in words.split()[1:]:
        if word.startswith("--"):
            options.append(word)
            continue
        assert isinstance(command, click.Group), words
        found = command.get_command(context, word)
        assert found is not None, words
        command = found

    assert set(options) <= {option for parameter in command.params for option in parameter.opts}, words
    assert not isinstance(command, click.Group), words


@pytest.mark.parametrize(("file", "test"), TESTS, ids=[test for _file, test in TESTS])
def test_the_test_of_a_row_is_there(file, test):
    assert re.search(rf"^(?:async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)
