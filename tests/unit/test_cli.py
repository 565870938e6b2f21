"""The one door of all commands: exit statuses, sentences, and what is imported for them."""

import subprocess
import sys

import click
import pytest

from ddns import cli


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "ddns.cli", *words], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def failing(monkeypatch):
    """Make `ddns serve` a command that raises what the test gives."""

    def failing(error):
        @click.command()
        def command():
            raise error

        monkeypatch.setattr(cli._Nouns, "get_command", lambda *_: command)
        return cli.run(["serve"])

    return failing


def test_the_help_names_every_noun_without_importing_one():
    """A newcomer's first look is quick."""
    code = (
        "import sys; from ddns import cli; cli.run(['--help']); print(sorted(m for m in sys.modules if 'ddns.' in m))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout

    assert all(f"  {noun} " in said for noun in cli.NOUNS)
    assert said.splitlines()[-1] == "['ddns.cli']"


def test_the_gateway_needs_neither_twisted_nor_a_database():
    """It runs on a home's router."""
    code = (
        "import sys, ddns.cli.gateway\n"
        "print([m for m in ('twisted', 'psycopg', 'sqlalchemy', 'alembic', 'rich') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("words", [("nonsense",), ("gateway", "nonsense"), ("gateway", "status", "--nonsense")])
def test_a_wrong_command_line_is_status_2_and_one_line(words):
    """It says where help is."""
    done = run(*words)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("ddns: ")
    assert done.stderr.count("\n") == 1
    assert "--help" in done.stderr


class OutageError(Exception):
    exit_status = 4


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (cli.Failure("The zone x. is not here.", 3), 3, "ddns: The zone x. is not here.\n"),
        (OutageError("the database\nis away"), 4, "ddns: the database is away.\n"),
        (
            FileNotFoundError(2, "No such file or directory", "/nowhere"),
            1,
            "ddns: /nowhere: No such file or directory.\n",
        ),
        (click.UsageError("give a name"), 2, "ddns: give a name."),
        (KeyboardInterrupt(), 130, "ddns: Stopped.\n"),
    ],
)
def test_a_failure_is_one_sentence_on_stderr(failing, capsys, error, status, said):
    """Whatever kind of failure it is."""
    assert failing(error) == status

    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip().startswith(said.strip())
    assert err.strip().count("\n") == 0


def test_a_bug_keeps_its_traceback(failing):
    """What nobody expected is not dressed up as a failure of the user's."""
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_a_reader_that_went_away_is_no_traceback():
    """`ddns … | head`."""
    code = "import os, click\nfrom ddns import cli\nos.close(1)\nr, w = os.pipe()\nos.close(r)\ncli.main(['--help'])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert "Traceback" not in done.stderr
