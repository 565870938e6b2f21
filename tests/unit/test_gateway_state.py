"""What a gateway wrote before devices had next keys and standbys is read as it was meant, and the other way round."""

import json

import msgspec
import pytest

from ddns.gateway import agent, state
from ddns.gateway.state import Device, Entry, Pin, State

BEFORE = {
    "home": "smith.homes.example.",
    "registry": "homes.example.",
    "host": "192.0.2.53",
    "port": 53,
    "key": "Ksmith.homes.example.+013+00001",
    "enrolled_at": 1_800_000_000,
    "devices": {
        "cam.smith.homes.example.": {
            "wanted": {"addresses": ["192.0.2.1"], "pins": [{"port": 443, "digest": "ab" * 32}], "ttl": 60, "lease": 0},
            "published": None,
            "outcome": None,
            "until": None,
        }
    },
    "version": 1,
}


class OldPin(msgspec.Struct, frozen=True):
    """A pin as it was."""

    port: int
    digest: str


def test_an_older_file_is_read(tmp_path):
    """Its keys are used, by themselves, and nobody had asked for them to be guarded."""
    (tmp_path / state.FILE).write_text(json.dumps(BEFORE))

    device = state.read(tmp_path).devices["cam.smith.homes.example."].wanted

    assert device.pins == (Pin(443, "ab" * 32, phase="", usage=3),)
    assert not device.guarded


def test_an_older_program_reads_what_it_knows(tmp_path):
    """The version stays: what is new stands beside what was."""
    pins = (Pin(443, "ab" * 32), Pin(443, "cd" * 32, phase="next"))
    known = State("h.", "r.", "192.0.2.53", 53, "K", devices={"cam.h.": Entry(Device(pins=pins, guarded=True))})
    state.write(tmp_path, known)

    found = json.loads((tmp_path / state.FILE).read_text())

    assert found["version"] == 1
    assert msgspec.convert(found["devices"]["cam.h."]["wanted"]["pins"], tuple[OldPin, ...]) == (
        OldPin(443, "ab" * 32),
        OldPin(443, "cd" * 32),
    )


def test_an_attempt_of_unknown_end_leaves_each_record_once():
    """A key that was to be next and is used now is one record, as the newer one of the two says."""
    new = Device(("192.0.2.1",), (Pin(443, "ab" * 32), Pin(443, "cd" * 32)), guarded=True)
    old = Device(("192.0.2.9",), (Pin(443, "cd" * 32, phase="next"), Pin(8443, "cd" * 32)))

    both = agent.union(new, old)

    assert both == msgspec.structs.replace(new, pins=(*new.pins, Pin(8443, "cd" * 32)))


@pytest.mark.parametrize("one", [None, Device(("192.0.2.1",))])
def test_nothing_beside_something_is_that(one):
    assert agent.union(one, None) == agent.union(None, one) == one
