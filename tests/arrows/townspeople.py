"""Owners and gateways that sign whatever a test wants, over HTTPS and DNS, at a real service."""

import secrets
import socket
import struct
import time

import dns.rcode
from cryptography.hazmat.primitives.asymmetric import ec
from enrolling import Home
from messages import IN, KeyFile, question, record, update
from service import eventually

from ddns.auth import keys
from ddns.dns import names
from ddns.gateway.invitation import Invitation
from ddns.proof import jwk, statements
from ddns.proof.statements import (
    AddOwnerKey,
    Adopt,
    ApproveKey,
    DeviceKey,
    Enrol,
    Found,
    Leave,
    MintKey,
    Object,
    ObjectRecovery,
    Recover,
    Release,
    RemoveOwnerKey,
    Replace,
    Return,
    RevokeKey,
    RollKey,
    Stolen,
)

TXT = 16


def key():
    return ec.generate_private_key(ec.SECP256R1())


def kid(private):
    return jwk.kid(jwk.of(private))


def fields_of(kind, home, some):
    """Return what a statement of *kind* needs besides; *some* is a key that it may be about."""
    now = int(time.time())
    return {
        ApproveKey: {"key": kid(some)},
        RevokeKey: {"key": kid(some)},
        RemoveOwnerKey: {"key": kid(some)},
        Release: {"until": now + 3600, "receiver": kid(some)},
        AddOwnerKey: {"role": "owner"},
        DeviceKey: {"name": f"cam.{home}"},
        MintKey: {"name": f"www.{home}", "days": 1},
        Adopt: {"code": "AAAAAA-BBBBBB-CCCCCC-DDDDDD"},
    }.get(kind, {})


# How many keys sign each, the asker's at which place.
SIGNERS = {
    Replace: (2, 1), RollKey: (2, 0), AddOwnerKey: (2, 0), Recover: (2, 0), DeviceKey: (2, 0),
    **dict.fromkeys(
        (ApproveKey, RevokeKey, Release, Object, Stolen, Found, RemoveOwnerKey, ObjectRecovery, Leave, Return, MintKey,
         Adopt),
        (1, 0),
    ),
}  # fmt: skip
ACTS = tuple(SIGNERS)
WITHOUT_HOME = (AddOwnerKey, RemoveOwnerKey, Recover, ObjectRecovery)


class Owned:
    """A home that was enrolled by HTTPS, with its gateway's key and its owner's."""

    def __init__(self, desk, label):
        self.desk = desk
        self.home = Home(desk, label)
        self.name = self.home.name
        self.gateway, self.owner = key(), key()
        self.line = self.home.invite()
        made = self.enrol(self.gateway, self.owner)
        assert made.status == 201, made
        eventually(lambda: desk.values(self.name, "KEY"))  # the workers hear of it

    def enrol(self, *signers, line=None, secret=None, **fields):
        """Post an enrolment by the home's invitation."""
        invitation = Invitation.from_text(line or self.line)
        by = (names.to_text(invitation.key), secret or invitation.secret)
        said = {"sub": "", "method": "invitation", **fields}
        return self.post(Enrol, *signers, by, path="/v1/enrol", **said)

    def signed(self, kind, *signers, **fields):
        now = int(time.time())
        said = {"aud": "homes.example.", "iat": now, "exp": now + 600, "jti": secrets.token_urlsafe(16)}
        return statements.sign(kind(**(said | {"sub": self.name} | fields)), *signers)

    def post(self, kind, *signers, path="/v1/statements", **fields):
        return self.home.post(path, self.signed(kind, *signers, **fields))

    def act(self, kind, by, **fields):
        """Have *by* ask for *kind*, with whatever keys it needs beside."""
        count, place = SIGNERS[kind]
        beside = key()
        signers = [beside] * count
        signers[place] = by
        said = fields_of(kind, self.name, self.gateway) | fields
        if kind in WITHOUT_HOME:
            said.setdefault("sub", "")
        return self.post(kind, *signers, **said)

    def update(self, by, *, zone=None, owner=None, text=b"\x01x"):
        """Send a signed UPDATE that adds a TXT, as the key *by* of this home's gateway; return the rcode's name."""
        wire = update([question(zone or self.name)], (), [record(owner or f"t.{zone or self.name}", TXT, IN, 60, text)])
        sent = Sig0(self.name, by).signed(wire, before=60, after=240)
        return self.send(sent)

    def send(self, wire):
        """Send octets over TCP; return the name of the answer's rcode."""
        with socket.create_connection(("127.0.0.1", self.desk.port), 60) as sock:
            sock.sendall(struct.pack("!H", len(wire)) + wire)
            (size,) = struct.unpack("!H", _exactly(sock, 2))
            return dns.rcode.to_text(_exactly(sock, size)[3] & 15)

    def texts(self):
        """Return the TXT records below the home."""
        return self.desk.values(f"t.{self.name}", "TXT")


def _exactly(sock, size):
    out = b""
    while len(out) < size:
        fresh = sock.recv(size - len(out))
        assert fresh, "the service closed the connection"
        out += fresh
    return out


class Sig0(KeyFile):
    """A SIG(0) key that is in memory."""

    def __init__(self, home, private):
        self.name, self.algorithm = home, 13
        self.tag = keys.key_tag(keys.key_rdata(private))
        self._private = private


def code(answer):
    """Return the status and the code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    return answer.status, answer.json["code"]
