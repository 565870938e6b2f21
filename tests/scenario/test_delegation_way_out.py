"""A home leaves for Knot through the real service and in real time: TTLs of a second, no safety."""

from __future__ import annotations

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import own_servers
import psycopg
import pytest
from own_servers import ZONE, Own
from registry import nsupdate
from service import eventually

from ddns import postgres

SMITH = f"smith.{ZONE}"
SECONDS = """
UPDATE signing_policies SET dnskey_ttl = 1;
UPDATE rrsets SET ttl = 1;
UPDATE signing SET pending = true;
"""
FORGOTTEN = """
UPDATE signing SET max_ttl = 1, dnskey_ttl = 1;
DELETE FROM editions;
"""


def database(parent):
    return psycopg.connect(postgres.socket_dsn(postgres.running(parent.state), postgres.OWNER), autocommit=True)


@pytest.fixture(scope="module")
def parent():
    """Yield the registry with one home, in which nothing has a TTL above a second."""
    with own_servers.registry("smith") as running:
        with database(running) as conn:
            conn.execute(SECONDS)
            conn.execute("SELECT pg_notify('ddns_pending', '')")
            eventually(lambda: not conn.execute("SELECT FROM signing WHERE pending").fetchall())
            eventually(lambda: conn.execute("SELECT max(ttl) FROM published_rrsets").fetchone() == (1,))
            conn.execute(FORGOTTEN)
        yield running


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with Own(tmp_path_factory.mktemp("own") / "smith", SMITH, "127.0.0.2") as smith:
        yield smith


def test_a_home_leaves_for_knot(parent, own):
    """At the end the registry refers to Knot with the DS of Knot's key, and takes no more updates for the home."""
    parent.delegation("leave", SMITH, *own.words, "--ds-from-servers", "--continuity", "none")
    parent.arrives(SMITH, "leaving-keys")
    own.import_keys(parent.delegation("show", SMITH)["keys"])
    parent.arrives(SMITH, "away", timeout=120)

    eventually(lambda: parent.referral(SMITH) == [f"ns1.{SMITH}"])  # the worker hears of it
    question = dns.message.make_query(f"www.{SMITH}", "A", want_dnssec=True)
    answer = dns.query.tcp(question, "127.0.0.1", port=parent.port, timeout=20)
    assert not answer.flags & dns.flags.AA
    kinds = {(one.rdtype, one.covers) for one in answer.authority}
    assert kinds >= {(dns.rdatatype.DS, 0), (dns.rdatatype.RRSIG, dns.rdatatype.DS)}
    theirs = dns.query.tcp(dns.message.make_query(SMITH, "DNSKEY"), own.address, port=own.port, timeout=20)
    (keys,) = theirs.answer
    (named,) = [one for one in answer.authority if one.rdtype == dns.rdatatype.DS]
    made = {dns.dnssec.make_ds(dns.name.from_text(SMITH), key, "SHA256") for key in keys if key.flags & 1}
    assert set(named) <= made

    code, said = nsupdate(parent, ["-k", parent.path(SMITH)], SMITH, f"update add cam.{SMITH} 60 A 192.0.2.7")[:2]
    assert code != 0
    assert "REFUSED" in said
