"""The methods that there are, by the names that policies and statements call them."""

from __future__ import annotations

from collections.abc import Mapping

from ddns.auth.sealing import Sealer
from ddns.homes.methods import Method
from ddns.homes.methods.attested import AttestedMethod, Beside
from ddns.homes.methods.invitation import InvitationMethod
from ddns.homes.methods.scanned import ScannedMethod
from ddns.homes.methods.vouched import VoucherMethod


def by_name(sealer: Sealer, secret: bytes, server: str) -> Mapping[str, Method]:
    """Return every method; *sealer* opens the secrets of invitations, *secret* is the registry's, *server* its name.

    Evidence of hardware may stand beside any of them.
    """
    found: tuple[Method, ...] = (InvitationMethod(sealer), ScannedMethod(secret), VoucherMethod(secret, server))
    beside = {one.name: Beside(one, secret) for one in found}
    alone = AttestedMethod(secret)
    return {**beside, alone.name: alone}
