"""`ddns gateway selftest`, with our own gateway as the box, and with a bad one.

The registry, what stands before it and the gateway are processes and real connections. Our own gateway waits as long as
it does in a home; both methods run at once, so that it is waited for once.
"""

import http.client
import json
import re
import ssl
import subprocess
import sys

import pytest

from ddns.cli import FAILED
from ddns.selftest.catalogue import CHECKS
from ddns.selftest.steps import METHODS, STEPS

PATIENCE = 900  # seconds; a slow machine starts a database, a registry and a dozen commands, one after the other

RUNS = [("invitation",), ("voucher",), ("owner", "qr")]  # what waits for long runs at the same time

pytestmark = pytest.mark.timeout(1000)


def started(*words, **pipes):
    command = [sys.executable, "-m", "ddns.cli", "gateway", "selftest", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **pipes)


@pytest.fixture(scope="module")
def runs():
    """Return the exit status and what was said, by methods, of our own gateway."""
    processes = {}
    try:
        for methods in RUNS:  # one registry starts after the other, what follows is mostly waiting
            chosen = [word for one in methods for word in ("--method", one)]
            processes[methods] = started("--target", "self", "--json", *chosen, stdin=subprocess.DEVNULL)
            _said(processes[methods], r"\[.*\] Our own gateway does it")
        ended = {methods: process.communicate(timeout=PATIENCE) for methods, process in processes.items()}
        return {methods: (processes[methods].returncode, *said) for methods, said in ended.items()}
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.mark.parametrize("methods", RUNS, ids=" and ".join)
def test_our_own_gateway_meets_all_that_is_required(runs, methods):
    status, out, said = runs[methods]

    assert status == 0, (out, said)
    checks = {one["id"]: one for one in json.loads(out)["checks"]}
    assert list(checks) == [one.id for one in CHECKS if set(methods) & set(one.methods)]
    assert {one["result"] for one in checks.values() if one["level"] != "recommended"} == {"met"}


def test_every_method_is_run():
    assert {one for methods in RUNS for one in methods} == set(METHODS)


def test_a_bad_box_is_found_out_and_what_did_not_happen_too():
    """It believes anybody, speaks an old TLS, and posts what is no statement; then it does nothing more."""
    with started("--method", "invitation", stdin=subprocess.PIPE) as running:
        try:
            link = _said(running, r"ddns://\S+")
            host, port = re.search(r"@(127\.0\.0\.1):\d+/.*web=[^:]+%3A(\d+)", link).groups()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            for _ in range(2):  # the first meets a stranger
                connection = http.client.HTTPSConnection(host, int(port), timeout=60, context=context)
                connection.request("POST", "/v1/enrol", b"{}", {"Content-Type": "application/json"})
                assert connection.getresponse().status == 503
                connection.close()
            out, said = running.communicate("\n" * len(STEPS["invitation"]), timeout=PATIENCE)
        finally:
            running.kill()

    missed = set(re.findall(r"^✗ (\S+)", out, re.MULTILINE))
    assert {"BAD-1", "TLS-1", "HTTP-1", "JWS-1"} <= missed
    assert re.search(r"^- UPD-1 .*: not seen$", out, re.MULTILINE)
    assert running.returncode == 1, said
    assert said.count("It was not done.") == len(STEPS["invitation"])


def _said(running, words):
    """Return what a process says to people that has the form of *words*, as soon as it does."""
    lines = []
    for line in running.stderr:
        lines.append(line)
        if found := re.search(words, line):
            return found[0]
    raise AssertionError("".join(lines))


def test_an_address_that_is_not_ours_is_said_so():
    done = subprocess.run(
        [sys.executable, "-m", "ddns.cli", "gateway", "selftest", "--listen", "192.0.2.1"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip

    assert (done.returncode, "assign requested address" in done.stderr) == (FAILED, True), done.stderr
