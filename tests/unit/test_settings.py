"""Settings: safe defaults, unknown keys refused by name, and an annotated file that equals the defaults."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from ddns import settings
from ddns.settings import BadSettings, Settings

ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "deploy" / "ddns.toml"


def test_the_annotated_file_is_the_defaults():
    assert settings.parse(DEPLOYED.read_bytes(), "ddns.toml") == Settings()
    assert DEPLOYED.read_text() == settings.to_toml(Settings())


def test_settings_that_the_guides_tell_to_write_are_good():
    """Blocks that begin with one of the service's tables; a registry's file has other ones."""
    seen = set()
    for page in (ROOT / "docs").rglob("*.md"):
        for block in re.findall(r"^```toml\n(\[(\w+)\]\n.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            if block[1] in Settings.__struct_fields__:
                settings.parse(block[0].encode(), page.name)
                seen.add(page.name)

    assert seen >= {"import-homes.md", "run-as-a-service.md"}


def test_the_annotated_file_names_every_setting():
    written = tomllib.loads(DEPLOYED.read_text())

    assert {table: set(fields) for table, fields in written.items()} == {
        table: set(getattr(Settings(), table).__struct_fields__) for table in Settings.__struct_fields__
    }


def test_without_a_file_the_defaults_hold_and_the_workers_are_counted():
    loaded = settings.load(None)

    assert loaded.serve.listen == ("127.0.0.1:5300", "[::1]:5300")
    assert loaded.serve.workers == min(4, len(os.sched_getaffinity(0)))
    assert not loaded.tsig.allow_sha1


def test_a_file_changes_what_it_says_and_nothing_else(tmp_path):
    path = tmp_path / "ddns.toml"
    path.write_text("[tcp]\nidle = 30\n[serve]\nworkers = 7\n")

    loaded = settings.load(path)

    assert loaded.tcp == msgspec.structs.replace(Settings().tcp, idle=30.0)
    assert loaded.serve.workers == 7
    assert loaded.sig0 == Settings().sig0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[serve]\nlissten = []", "[serve]: there is no setting lissten; did you mean listen?"),
        ("[server]\n", "there is no setting server; did you mean serve?"),
        ("[quux]\n", "there is no setting quux; known are serve, database"),
        ('[serve]\nworkers = "2"', "[serve] workers: expected a whole number, got text in quotes"),
        ("[serve]\nworkers = 65", "[serve] workers: expected a whole number <= 64"),
        ("[serve]\nlisten = [1]", "[serve] listen number 1: expected text in quotes, got a whole number"),
        ('[serve]\nlisten = ["localhost:53"]', "[serve] listen: 'localhost:53' is no address"),
        ("[cache]\nanswers = 511", "[cache] answers: expected a whole number >= 1000"),
        ("serve = 3", "[serve]: expected a table, got a whole number"),
        ("[serve", "is not TOML"),
        ("\ud800", "is not TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_the_place(text, says):
    with pytest.raises(BadSettings) as caught:
        settings.parse(text.encode("utf-8", "surrogatepass"), "ddns.toml")

    assert str(caught.value).startswith("ddns.toml")
    assert says in str(caught.value)


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(BadSettings, match=r"cannot be read from .*No such file"):
        settings.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:5300", ("127.0.0.1", 5300)),
        ("[::1]:5300", ("::1", 5300)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("::1", ("::1", 53)),
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
    ],
)
def test_addresses_are_read(text, where):
    assert settings.address(text) == where
    assert settings.address(settings.address_text(where)) == where


@pytest.mark.parametrize(
    "text", ["", ":53", "localhost:53", "127.0.0.1:", "127.0.0.1:65536", "[::1:53", "1.2.3:x", "[::1]53"]
)
def test_other_addresses_are_refused(text):
    with pytest.raises(ValueError, match="is no address"):
        settings.address(text)
