"""What a registry proves with the key of an invitation, spent or not: what time it is, and who its servers are.

Its answers to what is signed with that key are signed with it too (RFC 8945 §5.3), so nobody else can have given them.
"""

from __future__ import annotations

import secrets

from ddns.auth import tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.dns.names import Name
from ddns.gateway import client, reply, server, update
from ddns.gateway.clock import Clock
from ddns.gateway.invitation import Invitation
from ddns.gateway.reply import Reply, Request
from ddns.gateway.server import Ask
from ddns.gateway.state import State


def credential_of(invitation: Invitation) -> Credential:
    """Return the TSIG key of *invitation*."""
    return Credential(0, invitation.key, "tsig", invitation.algorithm, secret=Secret(invitation.secret))


def ask_time(
    to: State | Invitation, credential: Credential, zone: Name, wait: float, ticking: Clock, floor: int = 0
) -> bool:
    """Ask the registry what time it is, and believe what it proves unless it is before *floor*; tell whether it did.

    The question is signed for 1970, so that it gets BADTIME whatever the time is and can never do anything else.
    """
    octets, mac = tsig.sign_request(update.probe(zone, ident=_ident(), nonce=_nonce()), credential, 0)
    request = Request(octets, zone, credential, mac)
    answer = client.exchange(
        to.host, to.tls or to.port, lambda: (octets, lambda answer: reply.read(answer, request, 0)), wait,
        tls=bool(to.tls), heard=isinstance(to, State) and to.heard,
    )  # fmt: skip
    if not isinstance(answer, Reply) or not answer.proved or answer.server_time is None:
        return False
    return ticking.correct(answer.server_time, floor)


def learn(invitation: Invitation, wait: float, ticking: Clock) -> str:
    """Return the `ServerKey` of the registry as text; nothing where it has none or does not say."""
    found = server.learn(_question(invitation, wait), invitation.zone, credential_of(invitation), ticking.now, _ident)
    return "" if found is None else found.to_text()


def pins(
    to: State | Invitation, credential: Credential, zone: Name, web: tuple[str, int], wait: float, ticking: Clock
) -> tuple[str, ...] | None:
    """Return the digests of the keys that the registry says its HTTPS server *web* has; None where it does not say."""
    name, port = web
    try:
        owner = names.from_text(name)
    except names.BadName:
        return ()  # an address has no TLSA records
    ask = _question(to, wait)
    found = server.pins(ask, owner, port, credential, ticking.now, _ident)
    if found is None and ask_time(to, credential, zone, wait, ticking):
        found = server.pins(ask, owner, port, credential, ticking.now, _ident)
    return found


def _question(to: State | Invitation, wait: float) -> Ask:
    def question(message: bytes, read: client.Read) -> object:
        return client.exchange(to.host, to.tls or to.port, lambda: (message, read), wait, tls=bool(to.tls))

    return question


def _ident() -> int:
    return secrets.randbelow(0x10000)


def _nonce() -> bytes:
    return secrets.token_bytes(update.NONCE_SIZE)
