"""The project's promises about itself: locks, documents, packages and scripts say what is true."""

import ast
import os
import re
import tomllib
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import click
import pytest

from ddns.cli import NOUNS, cli
from zone_signer.cli import cli as signer

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / "benchmarks").glob("*.md"),
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STATUSES = {"done", "partly", "not yet"}


def requirements(lock: str) -> dict[str, str]:
    """Return the entries of a lock by package name, continuation lines joined."""
    joined = (ROOT / lock).read_text().replace("\\\n", " ")
    return {re.split(r"[=<>~ ]", line, maxsplit=1)[0]: line for line in joined.splitlines() if line.strip()}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host(lock):
    text = (ROOT / lock).read_text()

    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_in_a_lock_is_pinned_by_hash(lock):
    for name, line in requirements(lock).items():
        assert re.match(rf"{re.escape(name)}==\d\S*", line), line[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), name


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_pyproject_asks_for(lock):
    groups = PROJECT["dependency-groups"]
    wanted = PROJECT["project"]["dependencies"] + groups["build"] + (groups["dev"] if "dev" in lock else [])

    for requirement in wanted:
        name = re.split(r"[\[<>=~ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")
        assert name in requirements(lock), f"{requirement} is not in {lock}"


def test_both_locks_pin_the_same_versions():
    def pins(lock):
        return {name: line.split()[0] for name, line in requirements(lock).items()}

    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_the_wheel_has_every_package_of_the_tree():
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("ddns", "zone_signer", "migrations")
        for path in (ROOT / top).rglob("__init__.py")
    }
    named = {re.sub(r"^migrations", "ddns.migrations", package) for package in found}

    assert named == set(PROJECT["tool"]["setuptools"]["packages"])


def test_the_readme_shows_two_commands_that_a_newcomer_can_paste():
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    demo, test = blocks[0], blocks[1]
    assert demo.rstrip().endswith("ddns demo")
    assert "--require-hashes -r requirements.lock" in demo
    assert "--no-deps --no-build-isolation ." in demo
    assert "--require-hashes -r requirements-dev.lock" in test
    assert test.rstrip().endswith(".venv/bin/pytest -n 2")
    assert '"$venv/pytest" -n 2 ' in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" in target:
            continue
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()

    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        if name != "README.md" and "decisions/0" not in name:
            assert f"({name})" in index, name


def test_decisions_are_numbered_without_gaps_and_listed():
    folder = ROOT / "docs" / "explanation" / "decisions"
    index = (folder / "README.md").read_text()
    pages = sorted(folder.glob("0*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        title = page.read_text().splitlines()[0]
        assert title.startswith(f"# {int(page.name[:4])}. ")
        assert f"[{title.split('. ', 1)[1]}]({page.name})" in index


def test_the_standards_table_names_tests_that_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/reference/standards.md").read_text())

    assert named
    for file, names in groupby(sorted(named), itemgetter(0)):
        path = ROOT / file
        assert path.exists(), file
        tree = ast.parse(path.read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert {name for _file, name in names if name} <= functions, file


def test_every_row_of_the_standards_table_has_a_status_and_what_is_done_has_a_test():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/reference/standards.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| What")
    ]

    assert rows
    for what, section, status, tests in rows:
        assert status in STATUSES, (what, section, status)
        assert ("tests/" in tests) == (status != "not yet"), (what, section, tests)


def verbs():
    """Return each command of the command line with its words, such as `ddns zone add`."""
    for noun in NOUNS:
        command = cli.get_command(click.Context(cli), noun)
        if isinstance(command, click.Group):
            for verb, below in command.commands.items():
                yield f"ddns {noun} {verb}", below
        else:
            yield f"ddns {noun}", command
    for verb, below in signer.commands.items():
        yield f"zone-signer {verb}", below


@pytest.mark.parametrize(("words", "command"), [pytest.param(*found, id=found[0]) for found in verbs()])
def test_the_commands_page_has_every_verb_and_option(words, command):
    general, *rest = (ROOT / "docs/reference/commands.md").read_text().split("\n## ")
    sections = {part.split("\n", 1)[0]: part for part in rest}
    section = sections.get(words) or sections.get(words.rsplit(" ", 1)[0])

    assert section, words
    assert words in section
    for parameter in command.params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert option in section or option in general, f"{words} {option}"


def test_no_two_test_files_have_one_name():
    """They are imported by their names alone, so the second would hide the first."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert sorted(names) == sorted(set(names))


def test_the_changelog_has_a_place_for_what_comes_next():
    text = (ROOT / "CHANGELOG.md").read_text()

    assert text.startswith("# Changelog")
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)


def test_the_licence_is_the_one_that_the_package_names():
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("script", [".ci/run", ".ci/tools", "benchmarks/start_ours.sh"])
def test_scripts_can_be_run(script):
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text().startswith("#!/usr/bin/env bash\n")


@pytest.mark.parametrize("unit", ["ddns.service", "ddns-web.service", "zone-signer.service"])
def test_a_unit_runs_without_root_and_with_a_closed_box(unit):
    lines = (ROOT / "deploy" / unit).read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    assert settings["User"] != "root"
    assert settings["Type"] == "notify"
    for setting in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "ProtectKernelModules", "RestrictSUIDSGID"):
        assert settings[setting] == "yes", setting
    assert settings["ProtectSystem"] == "strict"
    assert "SystemCallFilter" in settings


def test_the_signers_unit_has_no_network():
    text = (ROOT / "deploy" / "zone-signer.service").read_text()

    assert re.search(r"^RestrictAddressFamilies=AF_UNIX$", text, re.MULTILINE)
    assert re.search(r"^IPAddressDeny=any$", text, re.MULTILINE)
    assert re.search(r"^CapabilityBoundingSet=$", text, re.MULTILINE)


def test_the_signers_unit_lets_it_ask_whether_the_clock_is_synchronized_and_not_set_it():
    text = (ROOT / "deploy" / "zone-signer.service").read_text()
    filters = re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE)

    assert filters[-1].startswith("adjtimex ")  # behind what takes it away: the last line holds (systemd.exec(5))
    assert not re.search(r"^ProtectClock=yes", text, re.MULTILINE)
    assert re.search(r"^CapabilityBoundingSet=$", text, re.MULTILINE)
    assert re.search(r"^NoNewPrivileges=yes$", text, re.MULTILINE)
