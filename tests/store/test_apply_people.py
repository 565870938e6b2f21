"""Tenants and policies for homes from a registry file: brought once, changed where the file changes, planned dry."""

from __future__ import annotations

import pytest
from rows import n

from ddns.auth.sealing import Sealer
from ddns.operator import apply, home_policy, registry_file, tenants
from ddns.operator.fault import CannotDo

SEALER = Sealer(b"k" * 32)
WHO = "operator:test"
NOW = 1_800_000_000
ZONE = "$TTL 300\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"
FILE = """
[[zone]]
name = "homes.test."
file = "homes.zone"
denial = "none"
[[tenant]]
name = "isp"
host = "homes.isp.test"
homes = 10
zones = ["homes.test."]
[[policy]]
zone = "homes.test."
tenant = "isp"
least = "token"
rest = "30d"
types = ["MX", "A(4)"]
kinds = [{ name = "lock", labels = ["lock"], least = "attested" }]
"""


@pytest.fixture
def bring(admin, tmp_path):
    """What applies a file."""
    (tmp_path / "homes.zone").write_text(ZONE)

    async def run(text=FILE, **options):
        path = tmp_path / "registry.toml"
        path.write_text(text)
        return await apply.apply(admin, SEALER, registry_file.read(path), WHO, **options)

    return run


async def test_a_file_brings_tenants_and_policies_and_changes_nothing_twice(admin, bring):
    planned = await bring(dry_run=True)
    assert [one.name for one in await tenants.listing(admin)] == ["registry"]

    first, second = await bring(), await bring()

    told = [(one.verb, one.noun, one.name) for one in first.actions]
    assert told == [("add", "zone", "homes.test."), ("add", "tenant", "isp"), ("change", "policy", "homes.test.")]
    assert [(one.verb, one.noun, one.name) for one in planned.actions] == told
    assert second.actions == []
    assert (second.kept["tenant"], second.kept["policy"]) == (1, 1)
    isp = await tenants.show(admin, "isp", NOW)
    assert (isp.tenant.homes_most, isp.tenant.host, isp.zones) == (10, "homes.isp.test", ((n("homes.test."), 0),))
    found = await home_policy.show(admin, isp.tenant.id, n("homes.test."))
    assert (found.policy.rest, set(found.types), [one.name for one in found.kinds]) == (
        30 * 86_400, {"MX", "A(4)"}, ["lock"],
    )  # fmt: skip


async def test_what_a_file_changes_is_changed_and_what_it_does_not_say_stays(admin, bring):
    await bring()

    changed = FILE.replace("homes = 10", "invitations = 5").replace('"lock"', '"door"').replace('rest = "30d"\n', "")
    planned, done = await bring(changed, dry_run=True), await bring(changed)

    told = [(one.verb, one.noun) for one in done.actions]
    assert told == [("change", "tenant"), ("change", "policy")]
    assert [(one.verb, one.noun) for one in planned.actions] == told
    isp = (await tenants.show(admin, "isp", NOW)).tenant
    assert (isp.homes_most, isp.invitations_most) == (10, 5)
    found = await home_policy.show(admin, isp.id, n("homes.test."))
    assert (found.policy.rest, [one.name for one in found.kinds]) == (30 * 86_400, ["door"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('least = "token"', 'colour = "red"', "number 1 .*has no colour"),
        ('tenant = "isp"', 'tenant = "nobody"', "no tenant nobody"),
        ('zone = "homes.test."\ntenant', "tenant", "needs the name of its zone"),
        (', least = "attested"', "", "kinds"),
        ('name = "isp"', 'name = "I"', "no name of a tenant"),
        ("homes = 10", "cars = 10", "cars"),
    ],
)
async def test_what_cannot_be_is_refused_and_no_tenant_is_made(admin, bring, old, new, says):
    with pytest.raises(CannotDo, match=says):
        await bring(FILE.replace(old, new))

    assert [one.name for one in await tenants.listing(admin)] == ["registry"]
