"""A home comes to be by HTTPS: gateway and owner sign, an invitation is spent, and the home is signed and published."""

import json
import secrets
import time
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from desk import Desk
from enrolling import Home
from service import eventually

from ddns import postgres
from ddns.dns import names
from ddns.gateway import phone
from ddns.gateway.invitation import Invitation
from ddns.proof import jwk, jws, statements
from ddns.proof.statements import Enrol


@pytest.fixture(scope="module")
def desk():
    with Desk().running() as desk:
        yield desk


def key():
    return ec.generate_private_key(ec.SECP256R1())


def wish(line, *keys, secret=None, name=None, jti="", **fields):
    """Return an enrolment by the invitation *line*, signed by *keys* and its secret, or another."""
    invitation = Invitation.from_text(line)
    now = int(time.time())
    said = Enrol(
        aud="homes.example.",
        iat=now,
        exp=now + 600,
        jti=jti or secrets.token_urlsafe(16),
        method="invitation",
        **fields,
    )
    shown = name or names.to_text(invitation.key)
    return statements.sign(said, *keys, (shown, secret or invitation.secret))


def test_a_home_with_an_owner_is_made_signed_and_published(desk):
    """Row 26: scan, accept, done. Its key stands at its apex, its DS in the registry's zone, and it publishes."""
    home = Home(desk, "smith").enrolled()

    assert home.state["enrolled_at"]
    assert not Path(home.request).exists(), "what was handed over is over"
    eventually(lambda: desk.values(home.name, "KEY"))
    eventually(lambda: desk.values(home.name, "DS"))
    home.at_gateway("publish", "cam", "--address", "2001:db8::7")
    eventually(lambda: desk.values(f"cam.{home.name}", "AAAA") == ["2001:db8::7"])


def test_a_link_enrols_a_gateway_without_an_owner(desk):
    """The secret stands behind the #, which no browser sends; what follows the host is nobody's business here."""
    home = Home(desk, "link")
    line = home.invite()
    link = f"https://{desk.certificate and 'ns1.homes.example'}:{desk.web}/e#{line}"

    home.at_gateway("enrol", link)

    eventually(lambda: desk.values(home.name, "KEY"))
    assert json.loads(desk.ddns("home", "show", home.name, "--json"))


def test_what_is_known_of_an_invitation_is_the_same_for_all_who_do_not_have_it(desk):
    """Unknown, spent, withdrawn, or with another secret: the same body, so that nobody learns which there are."""
    spent, withdrawn, open_one = (Home(desk, label) for label in ("spent", "withdrawn", "open"))
    lines = {home: home.invite() for home in (spent, withdrawn, open_one)}
    assert spent.post("/v1/enrol", wish(lines[spent], key())).status == 201
    withdrawn.invite("--again")

    bodies = [
        open_one.post("/v1/enrol", asked).body
        for asked in (
            wish(lines[spent], key()),
            wish(lines[withdrawn], key()),
            wish(lines[open_one], key(), secret=bytes(32)),
            wish(lines[open_one], key(), name="invite-nobody.homes.example."),
            wish(lines[open_one], key(), secret=bytes(32), label="www"),
        )
    ]

    assert len(set(bodies)) == 1
    assert json.loads(bodies[0])["code"] == "invitation-spent"
    assert desk.values(open_one.name, "KEY") == []
    assert open_one.post("/v1/enrol", wish(lines[open_one], key())).status == 201, "nothing was burnt"


def test_a_wish_is_carried_out_once_and_answered_twice(desk):
    """Posted again, with its ECDSA signatures made anew: one home, the same answer, and no second one under one jti."""
    home = Home(desk, "twice")
    gateway, line = key(), home.invite()
    first = wish(line, gateway)
    payload = jws.read(first).payload
    invitation = Invitation.from_text(line)
    mac = ({"typ": statements.TYP, "kid": names.to_text(invitation.key)}, invitation.secret)
    again = jws.sign(payload, [jws.shown(gateway, statements.TYP), mac])

    answers = [home.post("/v1/enrol", octets) for octets in (first, first, again)]

    assert [one.status for one in answers] == [201, 201, 201]
    assert len({one.body for one in answers}) == 1
    stolen = jws.sign(payload, [jws.shown(key(), statements.TYP), mac])
    assert home.post("/v1/enrol", stolen).json["code"] == "statement-replayed"


def test_nobody_signs_in_the_place_of_the_owner_whom_the_gateway_named(desk):
    """Who gets hold of the request on its way to the phone cannot put his own name to it."""
    home, thief = Home(desk, "named").asked(), key()
    octets = Path(home.request).read_bytes()

    answer = home.post("/v1/enrol", phone.beside(octets, thief))
    without = home.post("/v1/enrol", octets)

    assert answer.json["code"] == without.json["code"] == "statement-signature-wrong"
    home.at_phone("accept", home.request)
    home.at_gateway("enrol", "--wait", "60")


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"aud": "other.example."}, "statement-not-for-us", 401),
        ({"exp": 1_000_000_600, "iat": 1_000_000_000}, "statement-stale", 401),
        ({"method": "voucher"}, "statement-signature-wrong", 401),
        ({"label": "other"}, "label-not-allowed", 422),
        ({"kind": "UPPER"}, "field-wrong", 422),
    ],
)
def test_a_wish_that_is_wrong_changes_nothing(desk, change, code, status):
    """Each has its own code; the invitation stays open."""
    home = Home(desk, f"wrong-{'-'.join(change)}".replace("_", "-"))
    line = home.invite()
    said = json.loads(jws.read(wish(line, key())).payload) | change
    invitation = Invitation.from_text(line)
    mac = ({"typ": statements.TYP, "kid": names.to_text(invitation.key)}, invitation.secret)

    answer = home.post("/v1/enrol", jws.sign(json.dumps(said).encode(), [jws.shown(key(), statements.TYP), mac]))

    assert (answer.json["code"], answer.status) == (code, status)
    assert desk.values(home.name, "KEY") == []
    assert home.post("/v1/enrol", wish(line, key())).status == 201


def test_one_owner_has_two_homes(desk):
    """The same phone accepts both, and the registry knows one owner of two."""
    first, second = Home(desk, "first", "both"), Home(desk, "second", "both")
    first.enrolled()
    line = second.invite()
    second.at_gateway("enrol", line, "--owner", second.owner, "--wait", "1", status=7)
    second.at_phone("accept", second.request)
    second.at_gateway("enrol", "--wait", "60")

    with psycopg.connect(postgres.socket_dsn(postgres.running(desk.state), postgres.OWNER)) as conn:
        counts = conn.execute("SELECT count(*) FROM homes WHERE owner IS NOT NULL GROUP BY owner").fetchall()
    assert (2,) in counts


def test_a_phone_believes_nobody_but_the_registry(desk):
    """Without a certificate that it can believe, nothing is sent: exit 8."""
    home = Home(desk, "believing").asked()

    said = home.at_phone("accept", home.request, "--desk", f"https://localhost:{desk.web}", status=8)

    assert "does not prove to be the registry" in said
    assert desk.values(home.name, "KEY") == []
    assert jwk.kid(jwk.from_json(Path(home.owner).read_bytes())) not in said
