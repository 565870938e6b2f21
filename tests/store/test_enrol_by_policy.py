"""A policy that changed after an invitation was made holds when it is spent by an update."""

from __future__ import annotations

import craft
import pytest
from committing import SEALER, House
from cryptography.hazmat.primitives.asymmetric import ec
from rows import n

from ddns.auth import keys, tsig
from ddns.auth.principal import Credential
from ddns.dns.codes import Rcode
from ddns.operator import home_policy, homes
from ddns.store import invitations

HOME = n("berg.smith.example.")
KEY = ec.derive_private_key(41, ec.SECP256R1())


@pytest.mark.parametrize("setting", [{"methods": "qr"}, {"least": "qr"}, {"owner_required": "yes"}])
async def test_an_invitation_is_spent_only_as_the_policy_takes_it(dsn_for, tmp_path, setting):
    async with House(dsn_for, tmp_path) as house:
        one = await homes.invite(house.admin, SEALER, await house.row(), HOME, 4_000_000_000, 1)
        rdata = keys.key_rdata(KEY)
        record = HOME + b"\0\x19\0\1" + bytes(4) + len(rdata).to_bytes(2, "big") + rdata
        credential = Credential(0, one.key, "tsig", homes.INVITATION_ALGORITHM, secret=one.secret)

        async def spend(ident):
            wire = craft.message(record, origin=craft.ORIGIN, ident=ident)
            (reply,) = await house.send(tsig.sign_request(wire, credential, int(house.worker.now))[0])
            return reply

        await home_policy.change(house.admin, 1, craft.ORIGIN, setting)
        refused = await spend(1)

        assert refused.rcode() == Rcode.REFUSED
        assert [one.spent_at for one in await invitations.listing(house.admin)] == [None]
        await home_policy.change(house.admin, 1, craft.ORIGIN, dict.fromkeys(setting, "default"))
        assert (await spend(2)).rcode() == Rcode.NOERROR
