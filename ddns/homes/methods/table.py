"""The methods that there are, by the names that policies and statements call them."""

from __future__ import annotations

from collections.abc import Mapping

from ddns.auth.sealing import Sealer
from ddns.homes.methods import Method
from ddns.homes.methods.invitation import InvitationMethod


def by_name(sealer: Sealer) -> Mapping[str, Method]:
    """Return every method; *sealer* opens the secrets of invitations."""
    found: tuple[Method, ...] = (InvitationMethod(sealer),)
    return {one.name: one for one in found}
