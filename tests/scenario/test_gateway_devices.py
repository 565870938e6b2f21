"""Devices roll their keys by the registry's word: real commands, real TLS, and a real client that never stops.

The client keeps the TLSA records for their TTL as a resolver does, and has OpenSSL judge the device by them (RFC 7671).
"""

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.message
import dns.query
import pytest
from ports import free_port
from test_acme import Acme, blocks
from test_gateway import Home
from test_verify_device import Party
from tools import need

PAGE = (Path(__file__).parents[2] / "docs/howto/roll-a-devices-key.md").read_text()
DEVICES, ROLLS = 4, 5  # of each device
TTL = 1


class Device:
    """A TLS server at a port of the loopback that shows what is in its file whenever somebody connects."""

    def __init__(self, folder, name):
        self.folder = folder
        self.port = free_port()
        self.live = folder / f"{name}.live.pem"
        self.keys = 0
        self.name = name
        self._closing = False
        self._thread = threading.Thread(target=self._serve)

    def party(self, *, san=None):
        """Return the next key with its certificate."""
        self.keys += 1
        return Party(self.folder, f"{self.name}{self.keys}", names=[san] if san else ())

    def installs(self, party):
        """Return the command that has the device use a key: in one moment."""
        new = self.folder / f"{party.cert.stem}.both.pem"
        new.write_text(party.cert.read_text() + party.private.read_text())
        return f"cp {new} {self.live}.new && mv {self.live}.new {self.live}"

    def start(self):
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self._socket.settimeout(0.2)
        self._thread.start()

    def stop(self):
        self._closing = True
        if self._thread.ident:
            self._thread.join()
            self._socket.close()

    def _serve(self):
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                connection, _ = self._socket.accept()
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.live)
                connection.settimeout(5)
                with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as inside:
                    inside.recv(1)


class Client:
    """Somebody who connects again and again, by the TLSA records of a cache."""

    def __init__(self, registry, device, owner):
        self.registry = registry
        self.device = device
        self.owner = owner
        self.met = 0
        self.refused = []
        self._closing = False
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._closing = True
        self._thread.join()

    def _look(self):
        until, records = 0.0, []
        while not self._closing:
            if time.monotonic() >= until:
                query = dns.message.make_query(self.owner, "TLSA")
                answer = dns.query.tcp(query, "127.0.0.1", port=self.registry.port, timeout=30)
                until = time.monotonic() + TTL
                records = [rdata.to_text() for rrset in answer.answer for rdata in rrset if rrset.rdtype == 52]
            if not records:
                continue
            said = connect(self.device.port, self.owner, records)
            if not said:
                self.met += 1
            elif "verify" in said:  # who does not get through at all has met nobody
                self.refused.append((records, said))
            time.sleep(0.3)


def connect(port, owner, records):
    """Return what OpenSSL says of the device where it does not trust it; nothing where it does."""
    host = owner.split(".", 2)[2].rstrip(".")
    words = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-brief", "-verify_return_error"]
    words += ["-dane_tlsa_domain", host, "-dane_ee_no_namechecks"]  # RFC 7671 §5.1
    for one in records:
        words += ["-dane_tlsa_rrdata", one]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    return "" if "verification: ok" in said.lower() else said


@pytest.fixture
def enrolled(registry, tmp_path, request):
    """Return a function that enrols a home of this test's own."""

    def enrol(label):
        stem = re.sub(r"[^a-z]", "", request.node.name)[-20:]
        home = Home(registry, tmp_path / f"gateway-{label}", f"{label}{stem}")
        assert home("enrol", home.invitation)[0] == 0
        return home

    return enrol


def rolled(registry, home, folder, name):
    """Roll one device some times under a client that never stops; return what that met and what it refused."""
    device = Device(folder, name)
    first = device.party()
    subprocess.run(["/bin/sh", "-c", device.installs(first)], check=True)
    status, said = home(
        "device", "add", "cam", "--cert", f"{first.cert}@{device.port}", "--address", "127.0.0.1", "--ttl", str(TTL)
    )
    assert status == 0, said
    owner = f"_{device.port}._tcp.cam.{home.name}"
    device.start()
    try:
        with Client(registry, device, owner) as client:
            for _ in range(ROLLS):
                new = device.party()
                words = ["--cert", f"{new.cert}@{device.port}", "--exec", device.installs(new)]
                status, said = home("device", "roll", "cam", *words, wait=60)
                assert status == 0, said
                assert "may be used now" in said
    finally:
        device.stop()
    return client.met, client.refused


def test_twenty_rolls_under_a_client_that_never_stops_and_never_refuses(registry, enrolled, tmp_path):
    """Four devices with five new keys each, real TLS all the time: no mismatch."""
    homes = [enrolled(f"roll{'abcd'[number]}") for number in range(DEVICES)]

    with ThreadPoolExecutor(DEVICES) as devices:
        done = [devices.submit(rolled, registry, home, tmp_path, f"d{at}") for at, home in enumerate(homes)]
        ended = [one.result() for one in done]

    assert [refused for _, refused in ended] == [[]] * DEVICES
    assert all(met > 2 * ROLLS for met, _ in ended)


def test_the_client_does_refuse_a_device_that_does_not_wait(registry, enrolled, tmp_path):
    """Else its silence above would say nothing: the key is replaced at once, as `publish` does it."""
    home = enrolled("hasty")
    device = Device(tmp_path, "hasty")
    first, second = device.party(), device.party()
    subprocess.run(["/bin/sh", "-c", device.installs(first)], check=True)
    home("publish", "cam", "--tls", f"{device.port}={first.cert}", "--ttl", "60")
    owner = f"_{device.port}._tcp.cam.{home.name}"
    before = registry.values(owner, "TLSA")
    device.start()
    try:
        assert connect(device.port, owner, before) == ""
        assert home("publish", "cam", "--tls", f"{device.port}={second.cert}")[0] == 0
        subprocess.run(["/bin/sh", "-c", device.installs(second)], check=True)

        assert connect(device.port, owner, before) != ""
        assert connect(device.port, owner, registry.values(owner, "TLSA")) == ""
    finally:
        device.stop()


def test_too_early_is_status_nine_with_the_time(enrolled, tmp_path):
    """Published, not safe: not by roll, not by a removal; the state says so, for people and for programs."""
    home = enrolled("early")
    first, second = Party(tmp_path, "one"), Party(tmp_path, "two")
    assert home("device", "add", "cam", "--cert", first.cert, "--address", "192.0.2.80")[0] == 0

    published = home("device", "roll", "cam", "--cert", second.cert, wait=0)
    again = home("device", "roll", "cam", "--cert", second.cert, wait=0)
    replaced = home("publish", "cam", "--tls", f"443={second.cert}")
    deployed = home("device", "deployed", "cam")
    status, said = home("device", "state", "cam", "--json")

    assert [one[0] for one in (published, again, replaced, deployed)] == [9, 9, 9, 9]
    assert "not safe to use yet" in published[1]
    assert re.search(r"not before \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", again[1])
    assert "tlsa-not-safe-yet" in replaced[1]
    state = json.loads(said)
    assert (status, state["ready"]) == (9, False)
    assert {(one["phase"], one["use"]) for one in state["records"]} == {
        ("established", "in use"),
        ("published", "next"),
    }
    assert all(set(one) == {"owner", "usage", "digest", "phase", "safe_at", "use"} for one in state["records"])


def test_a_reserve_makes_an_emergency_a_matter_of_one_command(enrolled, tmp_path):
    """The stolen key's record goes at once; without a reserve that has settled, its price is said."""
    home = enrolled("thief")
    stolen, reserve = Party(tmp_path, "stolen"), Party(tmp_path, "reserve")
    assert home("device", "add", "cam", "--cert", stolen.cert, "--ttl", "1")[0] == 0
    assert home("device", "add", "cam", "--cert", reserve.cert)[0] == 0

    soon = home("device", "revoke", "cam", "--cert", stolen.cert)
    left = home.proved("_443._tcp.cam", "TLSA")
    last = home("device", "revoke", "cam", "--tag", left[0].split()[3][:12])

    assert (soon[0], last[0]) == (0, 0)
    assert "trust the new keys alone" in soon[1]
    assert len(left) == 1
    assert "now find no TLSA record" in last[1]
    assert home.registry.values(f"_443._tcp.cam.{home.name}", "TLSA") == []


def test_clients_and_cas_have_their_own_places(enrolled, tmp_path):
    """A device that is a client stands below _device; a CA of the home's own is 2 1 1."""
    home = enrolled("places")
    ca, own = Party(tmp_path, "ca"), Party(tmp_path, "own")

    client = home("device", "add", "cam", "--client", "--cert", own.cert)
    server = home("device", "add", "cam", "--ca", f"{ca.cert}@8443")

    assert (client[0], server[0]) == (0, 0)
    owner = f"cam._device.{home.name}"
    assert [one.split()[:3] for one in home.registry.values(owner, "TLSA")] == [["3", "1", "1"]]
    assert [one.split()[:3] for one in home.registry.values(f"_8443._tcp.cam.{home.name}", "TLSA")] == [["2", "1", "1"]]
    assert "as a client" in home("status")[1]


def test_what_is_not_known_is_said(enrolled):
    """A device without a key has no state."""
    home = enrolled("none")

    said = [home("device", *words, "tv") for words in (("state",), ("deployed",), ("revoke", "--tag", "00"))]

    assert [status for status, _ in said] == [2, 2, 2]
    assert all("Nothing is known of tv" in text for _, text in said)


def test_the_operator_sees_what_is_on_its_way_and_can_demand_more(enrolled, tmp_path):
    """The record, its phase; and a strict zone guards nsupdate's updates too."""
    home = enrolled("watch")
    first, second = Party(tmp_path, "one"), Party(tmp_path, "two")
    home("device", "add", "cam", "--cert", first.cert)
    home("device", "roll", "cam", "--cert", second.cert, wait=0)

    rolling = json.loads(home.registry.ddns("zone", "dane", home.name, "--json"))
    strict = home.registry.ddns("zone", "dane", home.name, "--strict", "--usage", "3")
    plain = home.registry.ddns("zone", "dane", home.name, "--default")

    assert [(one["phase"], one["waits"]) for one in rolling["rolling"]] == [("published", "")]
    assert rolling["demands"] is None
    assert "guards every update, takes usage 3 (DANE-EE)" in strict
    assert "demands what [dane] in the settings says" in plain


# -- hooks


@pytest.mark.parametrize("kind", ["certbot", "lego", "acme.sh", "caddy"])
def test_a_hook_that_nobody_calls_says_where_it_belongs(kind):
    """What it prints for the page's programs is what the page has."""
    words = [sys.executable, "-m", "ddns.cli", "gateway", "hook", kind, "cam"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)

    command = re.search(r"ddns gateway hook [^{\n]*?(?=' --|'$| --cert)", done.stdout)[0]
    assert command in PAGE


class Renewed:
    """A host of a home whose certificates an ACME server gives: its files, its TLS server, its gateway."""

    def __init__(self, acme, home, key):
        self.acme = acme
        self.home = home
        self.host = f"cam.{home.name}".rstrip(".")
        self.key = key
        self.device = Device(acme.folder, "live")
        self.owner = f"_{self.device.port}._tcp.{self.host}."
        program = acme.folder / "bin/ddns"
        program.parent.mkdir()
        python = os.pathsep.join(path for path in sys.path if path)
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{python}" exec {sys.executable} -m ddns.cli "$@"\n')
        program.chmod(0o755)
        acme.environment["PATH"] = f"{program.parent}:{acme.environment['PATH']}"
        acme.environment["DDNS_GATEWAY"] = str(home.folder)
        made = json.loads(home.registry.ddns("key", "add", key, "--acme", self.host, "--json"))
        self.secret = made["secret"]

    def reloads(self, chain, private):
        """Return the program that has the server read its files again."""
        program = self.acme.folder / "reload"
        live = self.device.live
        program.write_text(f"#!/bin/sh\ncat {chain} {private} > {live}.new && mv {live}.new {live}\n")
        program.chmod(0o755)
        return program

    def filled(self, text):
        """Return *text* of a page with this test's values."""
        port = self.acme.registry.port
        for mine, pages in (
            (f"127.0.0.1:{port}", "192.0.2.1:53"),
            ("127.0.0.1", "192.0.2.1"),
            (f"dns_rfc2136_port = {port}", "dns_rfc2136_port = 53"),
            (self.secret, "c2VjcmV0…"),
            (self.key, "acme-web.example."),
            (self.host, "cam.smith.homes.example"),
            (str(self.acme.folder / "rfc2136.ini"), "/etc/letsencrypt/rfc2136.ini"),
            (str(self.acme.folder / "reload"), "systemctl reload nginx"),
            (f"cam --port {self.device.port} --exec", "cam --exec"),
            ("", " --reuse-key"),
        ):
            text = text.replace(pages, mine)
        return text

    def begins(self, cert):
        """Show the first certificate and publish its key."""
        subprocess.run([self.acme.folder / "reload"], check=True)
        status, said = self.home("device", "add", "cam", "--cert", f"{cert}@{self.device.port}", "--ttl", str(TTL))
        assert status == 0, said
        self.device.start()

    def shown(self):
        """Return the one certificate that the server shows, in text."""
        return ssl.get_server_certificate(("127.0.0.1", self.device.port))


@pytest.fixture
def acme(registry, tmp_path):
    with Acme(registry, tmp_path).running() as running:
        yield running


def test_certbot_renews_with_a_new_key_and_nobody_is_shut_out(acme, enrolled):
    """The deploy hook of the page: the server reads the new files when the key is safe, not when they are there."""
    host = Renewed(acme, enrolled("bot"), "acme-bot.example.")
    ini, get, _ = (host.filled(text) for text in blocks("certbot"))
    (acme.folder / "rfc2136.ini").write_text(ini + "\n")
    (acme.folder / "rfc2136.ini").chmod(0o600)
    settings = acme.folder / ".config/letsencrypt/cli.ini"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"server = {acme.server}\nconfig-dir = {acme.folder}/etc\nwork-dir = {acme.folder}/work\n"
        f"logs-dir = {acme.folder}/log\nnon-interactive = true\nagree-tos = true\nemail = you@example.com\n"
    )
    live = acme.folder / f"etc/live/{host.host}"
    host.reloads(live / "fullchain.pem", live / "privkey.pem")
    renew = host.filled(re.search(r"^certbot renew .*$", PAGE, re.MULTILINE)[0])
    try:
        status, said = acme.run(get)
        assert status == 0, said
        host.begins(live / "cert.pem")
        before = host.shown()
        with Client(acme.registry, host.device, host.owner) as client:
            status, said = acme.run(renew, "--force-renewal", "--no-random-sleep-on-renew")
            assert status == 0, said
            after = host.shown()
    finally:
        host.device.stop()

    assert before != after
    assert after in (live / "fullchain.pem").read_text()
    assert client.refused == []
    assert client.met > 10


def test_lego_renews_with_a_new_key_and_nobody_is_shut_out(acme, enrolled):
    """Behind it, as the page has it: a hook of its own would be killed while it waits."""
    host = Renewed(acme, enrolled("lego"), "acme-lego.example.")
    get, _ = (host.filled(text) for text in blocks("lego"))
    made = acme.folder / f".lego/certificates/{host.host}"
    host.reloads(f"{made}.crt", f"{made}.key")
    renew, hook = host.filled(re.search(r"^lego .*? && \\\n.*$", PAGE, re.MULTILINE)[0]).split(" && \\\n")
    more = ["--server", acme.server, "--dns.resolvers", f"127.0.0.1:{acme.registry.port}", "--dns.disable-cp"]
    try:
        status, said = acme.run(get, *more, after="lego")
        assert status == 0, said
        host.begins(f"{made}.crt")
        before = host.shown()
        with Client(acme.registry, host.device, host.owner) as client:
            status, said = acme.run(f"{renew} --days 9999 --no-random-sleep", *more, after="lego")
            assert status == 0, said
            assert host.shown() == before
            done = subprocess.run(
                ["/bin/sh", "-c", hook], env=acme.environment, cwd=acme.folder, capture_output=True, text=True,
                timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            after = host.shown()
    finally:
        host.device.stop()

    assert before != after
    assert client.refused == []
    assert client.met > 10


def test_who_shows_a_certificate_at_once_must_keep_its_key(enrolled, tmp_path):
    """Caddy: the hook tells whether it did."""
    home = enrolled("caddy")
    kept, other = Party(tmp_path, "kept"), Party(tmp_path, "other")
    home("device", "add", "cam", "--cert", kept.cert)

    good = home("hook", "caddy", "cam", "--cert", kept.cert)
    bad = home("hook", "caddy", "cam", "--cert", other.cert)

    assert (good[0], bad[0]) == (0, 3)
    assert "reuse_private_keys" in bad[1]
