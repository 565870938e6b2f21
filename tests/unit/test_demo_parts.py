"""The parts of the demo that can be looked at alone: the liar, the camera's visitor, the screen, the leash."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dns.message
import dns.rrset
import pytest
from ports import free_port
from rich.console import Console

from ddns.demo import registry
from ddns.demo.liar import flipped
from ddns.demo.screen import Broken, Screen
from ddns.dns import names

CAM = names.from_text("cam.smith.homes.example.")


def answer(*records):
    query = dns.message.make_query("cam.smith.homes.example.", "A", want_dnssec=True, id=4711)
    message = dns.message.make_response(query)
    for record in records:
        message.answer.append(dns.rrset.from_text(*record))
    return message.to_wire()


def test_the_liar_flips_exactly_one_bit_of_one_address():
    """Everything else passes as it was."""
    honest = answer(("cam.smith.homes.example.", 60, "IN", "A", "127.0.0.1"))

    lie = flipped(honest, CAM)

    assert sum((a ^ b).bit_count() for a, b in zip(honest, lie, strict=True)) == 1
    assert dns.message.from_wire(lie).answer[0][0].address == "127.0.0.0"


@pytest.mark.parametrize(
    "message",
    [
        answer(),
        answer(("cam.smith.homes.example.", 60, "IN", "AAAA", "::1")),
        answer(("other.smith.homes.example.", 60, "IN", "A", "127.0.0.1")),
        b"",
        b"short",
        b"\xff" * 40,
    ],
)
def test_the_liar_passes_on_what_it_has_no_use_for(message):
    """Noise included."""
    assert flipped(message, CAM) == message


def shown(width, tell, *, terminal=False):
    out = io.StringIO()
    tell(Screen(Console(file=out, width=width, force_terminal=terminal, highlight=False)))
    return out.getvalue()


def one_step(screen):
    with screen.step("Doing") as step:
        step.held("It held. " + "word " * 40, "dig @127.0.0.1 " + "x" * 90, notes=("note " * 30,))


def test_sentences_fit_80_columns_and_lines_to_paste_are_not_broken():
    """Even on a wide terminal; a pasted line must be one line."""
    for width in (80, 200):
        lines = shown(width, one_step).splitlines()

        assert lines[0].startswith(" ✓ It held.")
        assert all(len(line) <= 80 for line in lines if "dig" not in line)
        assert "   dig @127.0.0.1 " + "x" * 90 in lines


def test_what_is_piped_is_plain_text():
    """No colour, no cursor movement, no spinner."""
    assert "\x1b" not in shown(80, one_step)
    assert "\x1b" in shown(80, one_step, terminal=True)


def test_a_step_that_does_not_hold_is_crossed_out_with_its_reason():
    """And the story ends there; a bug is called one."""

    def broken(screen):
        with pytest.raises(Broken), screen.step("Doing"):
            raise Broken("The camera said nothing.")
        with pytest.raises(Broken), screen.step("Doing"):
            raise KeyError("x")

    text = shown(80, broken)

    assert " ✗ The camera said nothing." in text
    assert "should not happen: KeyError" in text


def test_a_port_in_use_is_not_chosen(monkeypatch):
    """TCP or UDP: taken is taken."""
    ports = free_port(), free_port()
    monkeypatch.setattr(registry, "PORTS", ports)
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        assert registry.free_port(["127.0.0.1"], registry.PORTS) == ports[0]
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind(("127.0.0.1", ports[0]))
            if kind == socket.SOCK_STREAM:
                taken.listen()
            assert registry.free_port(["127.0.0.1"], registry.PORTS) == ports[1]


def test_where_all_wanted_ports_are_in_use_another_is_found_outside_of_clients_ports(monkeypatch):
    """What the kernel gives to clients may be somebody's before the registry takes it."""
    monkeypatch.setattr(registry, "PORTS", ())
    for _ in range(20):
        assert registry.free_port(["127.0.0.1"], registry.PORTS) in registry.OTHER_PORTS


def test_the_folder_has_a_path_short_enough_for_sockets(monkeypatch, tmp_path):
    """Whatever TMPDIR says."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    folder = registry._make_folder()

    try:
        assert len(str(folder / "registry/pg/run/.s.PGSQL.5432")) < 107
    finally:
        folder.rmdir()


def test_who_is_on_the_leash_ends_with_its_parent():
    """Even when the parent is killed."""
    script = (
        "import subprocess, sys, os, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'ddns.demo.leash', str(os.getpid()), '/bin/sleep', '60'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        end = time.monotonic() + 20
        while b"sleep" not in _command(child):
            assert time.monotonic() < end
            time.sleep(0.05)

        parent.send_signal(signal.SIGKILL)

        while b"sleep" in _command(child):
            assert time.monotonic() < end
            time.sleep(0.05)


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_who_is_put_on_a_dead_parents_leash_does_not_start():
    """The parent may have gone before the leash was on."""
    done = subprocess.run(
        [sys.executable, "-m", "ddns.demo.leash", str(os.getppid()), "/bin/echo", "started"],
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, b"")
