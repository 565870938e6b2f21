"""The name localhost is this host's, whatever a resolver or a file says of it (RFC 6761 §6.3)."""

from __future__ import annotations

LOOPBACK = "127.0.0.1"


def asked_for(host: str) -> str:
    """Return what a resolver is asked for in place of *host*: the loopback's address for localhost and names below.

    >>> asked_for("localhost"), asked_for("A.localhost."), asked_for("localhost.example")
    ('127.0.0.1', '127.0.0.1', 'localhost.example')
    """
    name = host.lower().rstrip(".")
    return LOOPBACK if name == "localhost" or name.endswith(".localhost") else host
