"""The command line: `ddns NOUN VERB`, one file per noun, each exporting a click command named `command`.

Nouns are imported only when they are asked for, so that `ddns gateway` on a small box needs neither
Twisted nor psycopg. A failure is one sentence on stderr and a truthful exit status: raise `Failure`,
or an error of ours whose class has an `exit_status`.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from ddns import __version__

DONE = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells say it

NOUNS = {
    "demo": ("ddns.cli.demo", "Show the whole story on this machine, step by step."),
    "serve": ("ddns.cli.serve", "Answer for the zones and accept their updates."),
    "zone": ("ddns.cli.zone", "Add, import, show, export, check and remove zones."),
    "signing": ("ddns.cli.signing", "Say how zones are signed and how their keys live."),
    "key": ("ddns.cli.key", "Add, list and revoke the keys that may sign updates."),
    "grant": ("ddns.cli.grant", "Say which key may write what."),
    "token": ("ddns.cli.token", "Say who may use the HTTPS API, for what and until when."),
    "transfer": ("ddns.cli.transfer", "Say which secondaries may have which zone, and see how far they are."),
    "tenant": ("ddns.cli.tenant", "Say who runs homes here, in which zones, and how many."),
    "policy": ("ddns.cli.policy", "Say what homes may be called, how they enrol, and what they may write."),
    "home": ("ddns.cli.home", "Invite homes and look after them."),
    "owner": ("ddns.cli.owner", "See who homes belong to, and help who has lost every key."),
    "webhook": ("ddns.cli.webhook", "Have programs told of what happens to homes."),
    "vendor": ("ddns.cli.vendor", "Say which makers of boxes may vouch for which of them."),
    "verifier": ("ddns.cli.verifier", "Say whose word about a box's hardware counts."),
    "device": ("ddns.cli.device", "Say which boxes are expected, how they are called and whose they are."),
    "delegation": ("ddns.cli.delegation", "Let homes leave for servers of their own, and return."),
    "gateway": ("ddns.cli.gateway", "Speak for a home: enrol it and publish its devices."),
    "phone": ("ddns.cli.phone", "Speak for a home's owner: accept a gateway, and say what is to be done."),
    "verify-device": ("ddns.cli.verify_device", "Tell whether a device is who its registry says."),
    "masa": ("ddns.cli.masa", "Run a small maker's service to try bonded boxes with."),
    "explain": ("ddns.cli.explain", "Say why an update was refused, and what cures it."),
    "apply": ("ddns.cli.apply", "Bring zones, keys and grants to what a file says."),
    "config": ("ddns.cli.config", "Check and show the settings."),
}


class Failure(click.ClickException):
    """A command that could not do its work: one sentence for people, and the exit status."""

    def __init__(self, sentence: str, exit_status: int = FAILED) -> None:
        super().__init__(sentence)
        self.exit_status = exit_status


class _Nouns(click.Group):
    """A group that imports a noun's file when the noun is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        noun = NOUNS.get(cmd_name)
        if noun is None:
            return None
        command = import_module(noun[0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{noun[0]}.command is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(noun, words) for noun, (_, words) in NOUNS.items()])


def _tell_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        twin = import_module("ddns.answer.twin").TWIN  # asked for by this alone: it loads what is native
        click.echo(f"ddns, version {__version__}, {twin}")
        ctx.exit()


@click.group(cls=_Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_tell_version, help="Show the version."
)
def cli() -> None:
    """Give homes signed names that they can prove."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit status."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status; what failed is said on stderr in one sentence."""
    try:
        result: Any = cli.main(arguments, prog_name="ddns", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        where = f" Try `{error.ctx.command_path} --help`." if error.ctx else ""
        return _say(_sentence(error.format_message()) + where, error.exit_code)
    except Failure as error:
        return _say(_sentence(error.format_message()), error.exit_status)
    except click.ClickException as error:
        return _say(_sentence(error.format_message()), error.exit_code)
    except click.Abort:
        return _say("Stopped.", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _say(_sentence(_os_error(error)), FAILED)
    except Exception as error:
        status = getattr(error, "exit_status", None)
        if not isinstance(status, int):
            raise  # a bug: its traceback is what helps
        return _say(_sentence(str(error)), status)
    return result if isinstance(result, int) else DONE


def _os_error(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _sentence(text: str) -> str:
    """Return *text* on one line, with a full stop, which a refusal has before its code."""
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?", "]")) else text + "."


def _say(sentence: str, status: int) -> int:
    click.echo(f"ddns: {sentence}", err=True)
    return status
