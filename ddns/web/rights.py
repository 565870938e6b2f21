"""What a token may be given leave to do: narrow rights, a closed set. There is none that means all of them."""

from __future__ import annotations

HOMES_READ = "homes:read"
HOMES_WRITE = "homes:write"
HOMES_HOLD = "homes:hold"
INVITATIONS = "invitations"
POLICY = "policy"
VENDORS = "vendors"
DEVICES = "devices"
TOKENS = "tokens"
WEBHOOKS = "webhooks"
TENANTS = "tenants"
ACT = "tenants:act"

WHAT = {
    HOMES_READ: "read homes, their history and what is said about them",
    HOMES_WRITE: "make homes, one by one or by import",
    HOMES_HOLD: "suspend, quarantine and release homes, with a reason",
    INVITATIONS: "invite homes and withdraw invitations",
    POLICY: "read and change what homes may do",
    VENDORS: "say and see whose devices and whose evidence are believed",
    DEVICES: "say which boxes are expected",
    TOKENS: "make, list and revoke tokens, with no more rights than its own",
    WEBHOOKS: "say who is told of what happens",
    TENANTS: "make tenants and bound them; the registry's own tokens alone",
    ACT: "do what its other rights allow for other tenants; the registry's own tokens alone",
}
EVERY = frozenset(WHAT)
REGISTRYS = frozenset((TENANTS, ACT))  # for tokens of the registry itself
