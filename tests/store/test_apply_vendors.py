"""Bonds, verifiers and webhooks from a registry file: brought once, changed where the file changes, planned dry."""

import json

import pytest
from attesting import SIGNER
from cryptography.hazmat.primitives.serialization import Encoding
from makers import Maker

from ddns.auth.sealing import Sealer
from ddns.operator import apply, registry_file, tenants, vendors, webhooks
from ddns.operator.fault import CannotDo
from ddns.proof import jwk
from ddns.store import bonds, verifiers

SEALER = Sealer(b"k" * 32)
WHO = "operator:test"
MAKER, OTHER = Maker(), Maker("Other")
RULES = {"all": [{"claim": "dbgstat", "is": ["disabled-permanently"]}], "gives": "attested"}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BOND = """
[[bond]]
vendor = "Acme"
anchors = "anchors.pem"
masa_keys = "masa.pem"
masa_url = "masa.acme.example"
models = ["gw-2", "gw-1"]
until = 2040-01-01
"""
VERIFIER = """
[[verifier]]
name = "lab"
tenant = "isp"
rules = "rules.json"
keys = "lab.jwks"
days = 30
"""
WEBHOOK = f"""
[[webhook]]
url = "https://hooks.example/n"
events = ["home.enrolled"]
secret = "{SECRET}"
"""
FILE = '[[tenant]]\nname = "isp"\n' + BOND + VERIFIER + WEBHOOK


@pytest.fixture
def bring(admin, tmp_path):
    """What applies a file."""
    (tmp_path / "anchors.pem").write_bytes(MAKER.anchor.public_bytes(Encoding.PEM))
    (tmp_path / "masa.pem").write_bytes(MAKER.masa.public_bytes(Encoding.PEM))
    (tmp_path / "other.pem").write_bytes(OTHER.masa.public_bytes(Encoding.PEM))
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    (tmp_path / "lab.jwks").write_text(json.dumps({"keys": [jwk.members(jwk.of(SIGNER))]}))

    async def run(text=FILE, **options):
        path = tmp_path / "registry.toml"
        path.write_text(text)
        return await apply.apply(admin, SEALER, registry_file.read(path), WHO, **options)

    return run


def told(done):
    return [(one.verb, one.noun, one.name) for one in done.actions]


async def events(conn):
    cursor = await conn.execute("SELECT event, who FROM home_events ORDER BY id")
    return await cursor.fetchall()


async def test_a_file_brings_all_of_it_and_changes_nothing_twice(admin, bring):
    planned = await bring(dry_run=True)
    assert await bonds.listing(admin, 1) == []

    first, second = await bring(), await bring()

    assert told(planned) == told(first)
    assert told(first)[1:] == [
        ("add", "bond", "Acme"), ("add", "verifier", "lab"), ("add", "webhook", "https://hooks.example/n"),
    ]  # fmt: skip
    assert [one.detail for one in first.actions[1:]] == ["", "of isp", ""]
    assert (second.actions, dict(second.kept)) == ([], {"tenant": 1, "bond": 1, "verifier": 1, "webhook": 1})
    (bond,) = await bonds.listing(admin, 1)
    assert (bond.tenant, bond.masa_url, bond.until) == (None, "https://masa.acme.example", 2_208_988_800)
    isp = await tenants.the_tenant(admin, "isp")
    (verifier,) = await verifiers.listing(admin, isp.id)
    assert (verifier.tenant, verifier.valid) == (isp.id, 30 * 86_400)
    (hook,) = await webhooks.listing(admin, 1)
    assert SEALER.open(webhooks.seal_name(hook.id), hook.secret) == webhooks.read_secret(SECRET)
    assert await events(admin) == [("vendor-bonded", WHO), ("verifier-added", WHO)]


async def test_the_order_of_a_list_is_no_change(bring):
    await bring()

    assert told(await bring(FILE.replace('"gw-2", "gw-1"', '"gw-1", "gw-2"'))) == []


async def test_what_the_file_says_otherwise_is_changed_and_a_bond_stays_the_same_one(admin, bring):
    await bring()
    (before,) = await bonds.listing(admin, 1)

    changed = (
        FILE.replace('masa_keys = "masa.pem"', 'masa_keys = "other.pem"')
        .replace("days = 30", "days = 31")
        .replace('["home.enrolled"]', '["*"]')
    )
    done, again = await bring(changed), await bring(changed)

    assert told(done) == [
        ("change", "bond", "Acme"), ("change", "verifier", "lab"), ("change", "webhook", "https://hooks.example/n"),
    ]  # fmt: skip
    assert again.actions == []
    (after,) = await bonds.listing(admin, 1)
    assert (after.id, after.since) == (before.id, before.since)
    assert after.masa_keys == (OTHER.masa.public_bytes(Encoding.DER),)
    assert [(one.valid, one.why) for one in await verifiers.listing(admin, 2)] == [
        (30 * 86_400, "changed by ddns apply"), (31 * 86_400, ""),
    ]  # fmt: skip
    assert [one.events for one in await webhooks.listing(admin, 1)] == [("*",)]


async def test_what_is_over_is_withdrawn_with_its_reason_once(admin, bring):
    await bring()
    gone = (
        '[[bond]]\nvendor = "Acme"\nwithdrawn = "its key was stolen"\n'
        '[[verifier]]\nname = "lab"\ntenant = "isp"\nwithdrawn = "closed"\n'
        '[[webhook]]\nurl = "https://hooks.example/n"\nremoved = true\n'
    )

    done, again = await bring(gone), await bring(gone)

    assert [one.verb for one in done.actions] == ["remove", "remove", "remove"]
    assert again.actions == []
    assert [one.why for one in await bonds.listing(admin, 1)] == ["its key was stolen"]
    assert await webhooks.listing(admin, 1) == []


async def test_a_secret_that_the_file_leaves_out_stays_and_another_takes_its_place(admin, bring):
    await bring()

    assert told(await bring(WEBHOOK.replace(f'secret = "{SECRET}"', ""))) == []
    await bring(WEBHOOK.replace("MfKQ", "NfKQ"))

    (hook,) = await webhooks.listing(admin, 1)
    assert SEALER.open(webhooks.seal_name(hook.id), hook.secret) == webhooks.read_secret(SECRET.replace("MfKQ", "NfKQ"))


async def test_what_others_made_by_hand_stays(admin, bring):
    made = await vendors.bond(admin, None, "Hand", OTHER.anchor.public_bytes(Encoding.PEM), WHO, 1_700_000_000)

    await bring()

    assert made in await bonds.listing(admin, 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOND + BOND, "number 1 is about the same"),
        (BOND.replace("anchors.pem", "nowhere.pem"), "nowhere.pem cannot be read"),
        (BOND.replace('"anchors.pem"', '"rules.json"'), "PEM"),
        (BOND.replace("2040-01-01", "2001-01-01"), "over already"),
        (BOND + 'colour = "red"\n', "unknown field"),
        (BOND + 'assurance = "attested"\n', "voucher"),
        (BOND + 'tenant = "nobody"\n', "no tenant nobody"),
        (VERIFIER.replace('rules = "rules.json"', ""), "has rules"),
        (VERIFIER.replace("lab.jwks", "rules.json").replace('tenant = "isp"', ""), "keys cannot be read"),
        (WEBHOOK.replace("https", "http"), "without a name or password"),
        (WEBHOOK.replace(SECRET, "whsec_YWJj"), "24 to 64"),
        (WEBHOOK.replace(f'secret = "{SECRET}"', ""), "needs a secret"),
        (WEBHOOK + 'secret_file = "x"\n', "one secret"),
    ],
    ids=["twice", "no-file", "no-pem", "over", "unknown", "too-sure", "nobody", "no-rules", "no-keys", "no-https",
         "short-secret", "no-secret", "two-secrets"],
)  # fmt: skip
async def test_a_table_that_makes_no_sense_is_refused_and_nothing_is_changed(admin, bring, text, why):
    with pytest.raises(CannotDo, match=why):
        await bring(text)

    assert await bonds.listing(admin, 1) == []
    assert await webhooks.listing(admin, 1) == []
