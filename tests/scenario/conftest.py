"""One running registry for all scenarios, and the resolvers and servers beside it."""

import contextlib
import subprocess

import dns.exception
import dns.message
import dns.query
import pytest
import resolving
from ports import free_port
from registry import SECRETS, SIGNED, ZONE_FILE, Registry, unbound_settings
from service import eventually, has_ipv6
from tools import need

# A name makes it sign its answers to SIG(0); the rest it says to those who ask. Updates wait for their signatures
# however slow the machine is: those that are kept unsigned come to be published together, in one serial.
SETTINGS = """[serve]
name = "ns1.hash.example"
[edns]
nsid = "ns1.hash"
identity = "one of two"
version = "none of yours"
report = "reports.agent.test"
[signer]
wait = 25.0
"""


@pytest.fixture(scope="session")
def registry():
    """Yield the running service with the zones and keys of `registry.py`."""
    # With one worker NOERROR means visible to whoever asks next.
    tls = free_port()
    running = Registry("--workers", "1", "--tls", f"127.0.0.1:{tls}", ipv6=has_ipv6(), settings=SETTINGS)
    running.tls = tls
    try:
        running.set_up()
        running.start()
        for zone in SIGNED:
            eventually(lambda zone=zone: running.signed(zone))
        eventually(lambda: running.values("ns1.hash.example.", "KEY"))  # it publishes what it signs answers with
        yield running
        running.stop()
    finally:
        running.remove()


@pytest.fixture
def unbound(registry):
    """Yield the port of a validating resolver that knows nothing but our zones."""
    port = free_port()
    settings = unbound_settings(registry, port)
    with resolving.unbound(registry.folder, settings, port, "www.plain.example."):
        yield port


@pytest.fixture
def named(registry):
    """Yield the port of a BIND that serves plain.example from the same file and takes the same key."""
    port = free_port()
    folder = registry.folder / "named"
    folder.mkdir()
    (folder / "plain.zone").write_text(ZONE_FILE)
    (folder / "hints").write_text(". 3600 IN NS a.invalid.\na.invalid. 3600 IN A 127.0.0.1\n")
    (folder / "named.conf").write_text(f"""\
options {{ directory "{folder}"; pid-file "{folder}/pid"; session-keyfile "{folder}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; notify no; dnssec-validation no;
  empty-zones-enable no; }};
controls {{ }};
key "k256" {{ algorithm hmac-sha256; secret "{SECRETS["k256"]}"; }};
zone "." {{ type hint; file "hints"; }};
zone "plain.example" {{ type primary; file "plain.zone"; allow-update {{ key "k256"; }};
  allow-transfer {{ 127.0.0.1; }}; check-names ignore; }};
""")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [need("named"), "-f", "-n", "1", "-c", folder / "named.conf"], stdout=log, stderr=log
        )
    try:
        query = dns.message.make_query("plain.example.", "SOA")

        def up():
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError, dns.exception.Timeout):
                return dns.query.udp(query, "127.0.0.1", port=port, timeout=0.5).answer
            return None

        eventually(up)
        yield port
    finally:
        process.terminate()
        process.wait(20)
