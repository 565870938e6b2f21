"""`ddns config`: check, show."""

from __future__ import annotations

import re
from pathlib import Path

import click
import msgspec

from ddns import settings
from ddns.cli.shell import json_option, print_json
from ddns.settings import Settings

_PASSWORDS = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)|(?<=:)([^:/@]+)(?=@)", re.IGNORECASE)


@click.group()
def command() -> None:
    """Check and show the settings."""


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="The same as FILE.")
@json_option
def check(file: Path | None, config: Path | None, as_json: bool) -> None:
    """Say whether the settings in FILE are good; end with 1 where they are not."""
    path = file or config
    if path is None:
        raise click.UsageError("say which file to check: ddns config check FILE")
    settings.load(path)
    if as_json:
        print_json({"file": str(path), "good": True})
    else:
        click.echo(f"{path} is good.")


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="The same as FILE.")
@json_option
def show(file: Path | None, config: Path | None, as_json: bool) -> None:
    """Print the settings that hold: those of FILE, and the defaults for what it leaves out."""
    held = _without_password(settings.load(file or config))
    if as_json:
        print_json(msgspec.to_builtins(held))
    else:
        click.echo(settings.to_toml(held), nl=False)


def _without_password(held: Settings) -> Settings:
    hidden = _PASSWORDS.sub(lambda match: f"{match[1] or ''}…", held.database.dsn)
    return msgspec.structs.replace(held, database=msgspec.structs.replace(held.database, dsn=hidden))
