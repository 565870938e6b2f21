"""Names that are shown before they are accepted: only to who has proved as much as who enrols, and seldom."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from rows import n
from serving_desk import asking
from waiting import wait_for

from ddns.homes.skeletons import skeleton
from ddns.operator import home_policy, tenants
from ddns.operator import homes as invitations
from ddns.proof import b64, jwk, jws, nonce, statements
from ddns.proof.statements import Enrol, Leave
from ddns.store import homes, zones
from ddns.web.rations import OFFERS

ZONE = n("homes.example.")
NOW = 1_800_000_000
COMMON = {"aud": "homes.example.", "iat": NOW, "exp": NOW + 600, "jti": "0123456789abcdef"}
OFFER = "/v1/labels/offer"


@pytest.fixture
def registry(admin):
    """Make a registry with the home smith, where bank* is reserved; a box enrols by its code."""

    async def make():
        parent = await zones.insert(admin, ZONE, "none", 13)
        await homes.insert(admin, await zones.insert(admin, n("smith.homes.example."), "none", 13, parent))
        await admin.execute("UPDATE homes SET label_shown = 'smith', skeleton = %s", [skeleton("smith")])
        await home_policy.change(admin, 1, ZONE, {"methods": "invitation,qr"})
        await home_policy.reserve(admin, 1, ZONE, ["bank*"])
        await admin.execute(
            "INSERT INTO resting_labels (zone, label, free_at) VALUES (%s, %s, to_timestamp(%s))",
            [parent, b"example\0\0homes\0\0old\0\0", NOW + 60],
        )
        return (await zones.get(admin, [parent]))[parent]

    return wait_for(make())


def key():
    return ec.generate_private_key(ec.SECP256R1())


class Box:
    """A box with a printed key, before an owner who has yet to accept."""

    def __init__(self):
        self.printed, self.gateway, self.owner = key(), key(), key()

    def wish(self, label="", *, by=None, fresh=None, accepted=False, about=None, **more):
        """Return the box's wish; *by* signs as the printed key, *about* is whose it says that the box is to be."""
        owner = jwk.kid(jwk.of(self.owner))
        said = {
            "nonce": fresh or nonce.make(bytes(32), NOW + 600, b"d" * 12),
            "key": jwk.kid(jwk.of(self.gateway)),
            "owner": about or owner,
        }
        proof = jws.sign(json.dumps(said).encode(), [jws.shown(by or self.printed)])
        members = {**COMMON, "method": "qr", "owner": owner, "label": label, "proof": b64.encode(proof)} | more
        return statements.sign(Enrol(**members), self.gateway, *([self.owner] if accepted else []))


async def offered(at, octets, query=""):
    status, headers, said = await at.ask("POST", OFFER + query, octets, media="application/jose+json")
    return (status, said) if status == 200 else (status, said["code"], said["detail"], headers.get("Retry-After", ""))


async def test_a_box_is_shown_a_name_and_the_same_one_when_its_owner_signs(registry, dsn_for, tmp_path):
    """It falls from its key: what is accepted is what was shown. Another box is shown another one."""
    box = Box()
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        first, again, signed = [await offered(at, box.wish(accepted=one)) for one in (False, False, True)]
        other = await offered(at, Box().wish())

    assert first == again == signed
    assert first[0] == other[0] == 200
    assert first[1]["home"].endswith(".homes.example.")
    assert first[1]["registry"] == "homes.example."
    assert first[1]["home"] == f"{first[1]['unicode']}.homes.example."
    assert other[1]["home"] != first[1]["home"]


async def test_a_name_that_was_shown_and_is_taken_by_then_gives_way_to_another(admin, registry, dsn_for, tmp_path):
    """Nothing is kept for anybody."""
    box = Box()
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        _, first = await offered(at, box.wish())
        await homes.insert(admin, await zones.insert(admin, n(first["home"]), "none", 13, registry.id))
        _, second = await offered(at, box.wish())

    assert second["home"] != first["home"]


async def test_why_a_name_cannot_be_had_is_not_said_unless_everybody_may_know(admin, registry, dsn_for, tmp_path):
    """Taken, reserved by the registry, resting, invited, alike: one sentence. Public rules say what is wrong."""
    from committing import SEALER  # noqa: PLC0415 - it needs what a desk alone does not

    await invitations.invite(admin, SEALER, registry, n("guest.homes.example."), NOW + 600, NOW)
    boxes = [Box(), Box()]
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        hidden = [await offered(at, boxes[0].wish(one)) for one in ("smith", "bank-1", "old", "guest", "smıth")]  # noqa: RUF001
        public = [await offered(at, boxes[1].wish(one)) for one in ("www", "a b", "x" * 64)]
        free = await offered(at, boxes[1].wish("bücherei"))

    assert {one[1] for one in hidden} == {"label-unavailable"}
    assert len(set(hidden)) == 1
    assert [one[1] for one in public] == ["label-special", "label-not-allowed", "label-not-allowed"]
    assert free[1] == {
        "home": "xn--bcherei-n2a.homes.example.", "unicode": "bücherei", "registry": "homes.example.",
    }  # fmt: skip


async def test_another_name_can_be_asked_for_without_another_wish(registry, dsn_for, tmp_path):
    box = Box()
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        taken = await offered(at, box.wish(), "?label=smith")
        free = await offered(at, box.wish("smith"), "?label=lighthouse")
        unknown = await offered(at, box.wish(), "?name=x")

    assert taken[1] == "label-unavailable"
    assert free[1]["home"] == "lighthouse.homes.example."
    assert unknown[1] == "field-unknown"


@pytest.mark.parametrize("label", ["smith", "nobody", "bank-1", "old"])
async def test_without_a_proof_every_name_gets_the_same_answer(registry, dsn_for, tmp_path, label):
    """A code alone, another's signature, an old nonce, a proof for another owner, no registry: nothing is told."""
    box = Box()
    spoilt = (
        {"proof": ""},
        {"by": box.gateway},
        {"fresh": nonce.make(bytes(32), NOW - 1, b"d" * 12)},
        {"fresh": nonce.make(b"x" * 32, NOW + 600, b"d" * 12)},
        {"about": jwk.kid(jwk.of(key()))},
        {"aud": "other.example."},
    )
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        told = [[await offered(at, box.wish(one, **spoil)) for one in (label, "free-one")] for spoil in spoilt]

    assert all(one == other for one, other in told)
    assert [one[1] for one, _ in told] == ["qr-proof-missing", *["qr-proof-wrong"] * 4, "statement-not-for-us"]


async def test_an_invitation_is_shown_its_own_name_and_others_nothing(admin, registry, dsn_for, tmp_path):
    """One that is unknown, one that is over, and one whose secret is wrong are the same."""
    gateway = key()

    def wish(name, secret):
        return statements.sign(Enrol(**COMMON, method="invitation"), gateway, (name, secret))

    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        one = await invitations.invite(admin, at.desk.sealer, registry, n("doe.homes.example."), NOW + 600, NOW)
        name, secret = "".join(map(chr, one.key[1 : 1 + one.key[0]])) + ".homes.example.", one.secret.reveal()
        good = await offered(at, wish(name, secret))
        bad = [await offered(at, wish(*said)) for said in ((name, b"x" * 32), ("nobody.homes.example.", secret))]
        at.now = NOW + 599
        late = await offered(at, wish(name, secret))
        await admin.execute("UPDATE invitations SET expires_at = to_timestamp(%s)", [NOW + 1])
        bad.append(await offered(at, wish(name, secret)))

    assert good == late == (200, {"home": "doe.homes.example.", "unicode": "doe", "registry": "homes.example."})
    assert {one[1] for one in bad} == {"invitation-spent"}
    assert len(set(bad)) == 1


async def test_one_proof_is_shown_few_names_an_hour_and_does_not_use_up_anothers(registry, dsn_for, tmp_path):
    """By its printed key, however many keys the box makes; the nonce that it answers is not spent."""
    box = Box()
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        for _ in range(OFFERS):
            box.gateway = key()
            assert (await offered(at, box.wish()))[0] == 200
        over = await offered(at, box.wish())
        other = await offered(at, Box().wish())

    assert (over[0], over[1]) == (429, "too-many-requests")
    assert int(over[3]) > 0
    assert other[0] == 200


async def test_asking_writes_nothing_and_only_a_wish_asks(owner, registry, dsn_for, tmp_path):
    async def written():
        cursor = await owner.execute(
            """SELECT (SELECT count(*) FROM devices), (SELECT count(*) FROM owners), (SELECT count(*) FROM statements),
                      (SELECT count(*) FROM spent_nonces), (SELECT count(*) FROM homes)"""
        )
        return await cursor.fetchone()

    before = await written()
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        assert (await offered(at, Box().wish("lighthouse")))[0] == 200
        leave = statements.sign(Leave(**COMMON, sub="smith.homes.example."), key())
        assert (await offered(at, leave))[1] == "act-elsewhere"

    assert await written() == before


async def test_the_policy_says_first_whether_such_a_box_may_enrol(admin, registry, dsn_for, tmp_path):
    await home_policy.change(admin, 1, ZONE, {"methods": "invitation"})
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        told = [await offered(at, Box().wish(label)) for label in ("smith", "free-one")]

    assert told[0] == told[1]
    assert told[0][1] == "method-not-allowed-here"


async def test_the_zones_are_listed_in_which_a_box_enrols_by_its_code(admin, registry, dsn_for, tmp_path):
    """Each tenant's own, by the server name that was asked for; no zone whose policy is not open to boxes."""
    await zones.insert(admin, n("company.example."), "none", 13)
    await tenants.add(admin, "isp", host="isp.example")
    await tenants.allow(admin, "isp", ZONE)
    async with asking(dsn_for("ddns_web"), tmp_path, NOW) as at:
        _, _, ours = await at.ask("GET", "/v1/registries")
        await home_policy.change(admin, 1, ZONE, {"methods": "invitation"})
        _, _, none = await at.ask("GET", "/v1/registries")

    assert ours == {"registries": [{"zone": "homes.example.", "labels": "both"}]}
    assert none == {"registries": []}


async def test_a_desk_without_the_page_has_none_of_it(registry, dsn_for, tmp_path):
    async with asking(dsn_for("ddns_web"), tmp_path, NOW, page=False) as at:
        found = {path: (await at.ask("GET", path))[0] for path in ("/phone", "/phone.mjs", "/phone/jose.mjs", "/e")}

    assert found == {"/phone": 404, "/phone.mjs": 404, "/phone/jose.mjs": 404, "/e": 200}
