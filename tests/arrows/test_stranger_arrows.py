"""What strangers, and who sits on the network, must not be able to do."""

import hashlib
import json
import time

import psycopg
import pytest
from townspeople import ACTS, SIGNERS, code, fields_of, key

from ddns.postgres import OWNER, running, socket_dsn
from ddns.proof import b64, jwk, jws, statements
from ddns.proof.statements import Enrol, Leave

# What was refused by DNS, a bounded number of the last; and what ends by itself.
COUNTERS = {"spent_nonces", "refusals"}


@pytest.fixture(scope="module")
def smith(homes):
    return homes("stranger-smith")


def rows(desk):
    """Return how many rows each table has that is no counter."""
    found = running(desk.state)
    assert found is not None
    with psycopg.connect(socket_dsn(found, OWNER)) as conn:
        tables = conn.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        return {
            table: conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for (table,) in tables
            if table not in COUNTERS
        }


def plain(answer):
    """Return what of an answer could tell anything."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}
    return answer.status, sorted(headers.items()), answer.body


@pytest.mark.parametrize("kind", ACTS, ids=lambda kind: kind.__name__)
def test_stranger_cannot_tell_which_homes_exist(smith, kind):
    """For each act: a home that is there and one that is not get the same answer, to the octet."""
    stranger = key()
    answers = []
    for name in (smith.name, "nobody.homes.example."):
        count, place = SIGNERS[kind]
        signers = [key() for _ in range(count)]
        signers[place] = stranger
        answers.append(smith.post(kind, *signers, **{**fields_of(kind, smith.name, key()), "sub": name}))

    assert plain(answers[0]) == plain(answers[1])
    assert answers[0].status >= 400


def test_stranger_cannot_tell_which_labels_boxes_or_invitations_exist(smith):
    """A wish without any proof, for a label that is taken and for one that is free, is answered alike."""
    answers = []
    for label in ("stranger-smith", "stranger-nobody"):
        for method in ("invitation", "qr", "voucher", "attested", "release"):
            refused = smith.post(Enrol, key(), path="/v1/enrol", sub="", method=method, label=label)
            answers.append((method, plain(refused)))

    taken, free = answers[:5], answers[5:]
    assert taken == free
    assert all(status >= 400 for _, (status, _, _) in taken)


def test_stranger_cannot_enrol_by_serial(smith):
    """A serial, or what is printed on a box, scanned by somebody, gives no right (row 44)."""
    for method, shown in (("qr", {"proof": ""}), ("voucher", {"voucher": ""}), ("release", {"secret": ""})):
        refused = smith.post(Enrol, key(), key(), path="/v1/enrol", sub="", method=method, label="by-serial", **shown)
        assert refused.status >= 400
    assert smith.desk.values("by-serial.homes.example.", "SOA") == []


def test_stranger_cannot_fill_tables(smith):
    """Whatever is refused leaves no row behind: not of a statement, a key, a claim, a nonce or an event."""
    before = rows(smith.desk)

    for kind in ACTS:
        assert smith.act(kind, key()).status >= 400
    for method in ("invitation", "qr", "voucher", "attested", "release"):
        assert smith.post(Enrol, key(), key(), path="/v1/enrol", sub="", method=method).status >= 400
    for body in (b"", b"x", b"{}", b"a.b.c", b"\xff" * 100):
        assert smith.home.post("/v1/statements", body).status >= 400
    for _ in range(3):
        assert smith.desk.ask_web("POST", "/v1/nonces", {}).status == 201

    assert rows(smith.desk) == before


def test_stranger_cannot_learn_from_the_history_of_a_box_which_boxes_there_are(smith):
    """Whatever digest is asked for, what is not known is told like a box that never was resold: never 404."""
    answers = [
        smith.desk.ask_web("GET", f"/v1/devices/{hashlib.sha256(bytes([one])).hexdigest()}/history") for one in range(3)
    ]

    assert {(one.status, one.body) for one in answers} == {(200, answers[0].body)}
    assert answers[0].json["events"] == []


def test_network_cannot_alter_a_statement(smith):
    """One octet of what was signed, and it is nobody's word."""
    whole = json.loads(smith.signed(Leave, smith.owner))
    payload = whole["payload"]
    for at in (0, len(payload) // 2, len(payload) - 2):
        changed = payload[:at] + ("A" if payload[at] != "A" else "B") + payload[at + 1 :]
        refused = smith.home.post("/v1/statements", json.dumps({**whole, "payload": changed}).encode())
        assert code(refused)[1] in ("statement-signature-wrong", "statement-malformed")
    assert smith.update(smith.gateway) == "NOERROR"


def test_network_cannot_bring_a_statement_late_or_elsewhere(smith):
    now = int(time.time())

    late = smith.post(Leave, smith.owner, iat=now - 1000, exp=now - 400)
    elsewhere = smith.post(Leave, smith.owner, aud="other.example.", sub="x.other.example.")
    long = smith.post(Leave, smith.owner, exp=now + 86_400)

    assert code(late) == (401, "statement-stale")
    assert code(elsewhere)[1] == "statement-not-for-us"
    assert code(long) == (401, "statement-too-long")
    assert smith.update(smith.gateway) == "NOERROR"


def test_network_cannot_have_a_statement_done_twice_by_rewriting_its_signature(homes):
    """An ECDSA signature can be made anew by who has the key alone, but another (r, n-s) by everybody: one event."""
    home = homes("network-twice")
    said = home.signed(Leave, home.owner)
    payload = jws.read(said).payload
    again = jws.sign(payload, [jws.shown(home.owner, statements.TYP)])

    first, second = (home.home.post("/v1/statements", octets) for octets in (said, again))

    assert (first.status, first.body) == (second.status, second.body)
    assert said != again
    stolen = jws.sign(payload, [jws.shown(key(), statements.TYP)])
    assert home.home.post("/v1/statements", stolen).status >= 400


def test_stranger_cannot_sign_without_a_key_or_with_a_symmetric_one(smith):
    """`alg` decides nothing: no `none`, and no HS256 under a public key, for any act."""
    payload = jws.read(smith.signed(Leave, smith.owner)).payload
    public = jwk.to_json(jwk.of(smith.owner))
    forged = jws.sign(payload, [({"typ": statements.TYP, "kid": jwk.kid(jwk.of(smith.owner))}, public)])
    header = b64.encode(json.dumps({"alg": "none", "jwk": json.loads(public)}).encode())
    unsigned = json.dumps({"payload": b64.encode(payload), "signatures": [{"protected": header, "signature": ""}]})

    for octets in (forged, unsigned.encode()):
        refused = smith.home.post("/v1/statements", octets)
        assert code(refused)[1] in ("statement-signature-wrong", "statement-malformed")
    assert smith.update(smith.gateway) == "NOERROR"
