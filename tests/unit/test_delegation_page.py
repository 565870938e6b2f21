"""The commands on docs/howto/own-servers.md are taken by the command line, and its settings are there."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from ddns import settings
from ddns.cli import NOUNS

PAGE = (Path(__file__).parents[2] / "docs/howto/own-servers.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
OURS = [line for line in COMMANDS if line.startswith("ddns ")]


@pytest.mark.parametrize("line", OURS)
def test_a_command_of_the_page_is_one(line):
    _, noun, verb, *words = shlex.split(line.replace("04F6D563…", "00" * 32))
    group = import_module(NOUNS[noun][0]).command

    group.commands[verb].make_context(verb, words)  # raises where a word is not known


def test_the_page_has_all_ways_there_are():
    verbs = {" ".join(line.split()[1:3]) for line in OURS}

    assert verbs >= {f"delegation {verb}" for verb in ("leave", "show", "return", "continuity")}
    assert verbs >= {"gateway leave", "gateway return", "key add"}


def test_the_settings_of_the_page_are_settings():
    named = re.findall(r"`\[delegation\] ([a-z_]+)`", PAGE)

    assert len(named) > 5
    assert set(named) <= set(settings.Delegation.__struct_fields__)
    for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL):
        assert settings.parse(block.encode(), "page").delegation.validator


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[delegation]\nvalidator = "192.0.2.1"', "is not on this machine"),
        ('[delegation]\nwitness = "nobody"', "[delegation] witness: 'nobody' is no address"),
        ("[delegation]\nscan_every = 3601.0\n", "scan_every must not be longer than dark_after"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(text, says):
    with pytest.raises(settings.BadSettings) as caught:
        settings.parse(text.encode(), "ddns.toml")

    assert says in str(caught.value)
