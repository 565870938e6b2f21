"""What is written down of a box that does everything right, and of boxes that each do one thing wrong."""

from __future__ import annotations

import json
import struct
from base64 import b64encode

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from makers import Maker, name
from registrars import Registrar, box_request

from ddns.auth import sig0, tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.dns.codes import CLASS_IN, Type
from ddns.gateway import update
from ddns.gateway.state import Device
from ddns.proof import b64, jwk, jws, statements, voucher
from ddns.proof.statements import Enrol, Replace, RollKey
from ddns.selftest.transcript import Exchange, Gained, Given, Handed, Handshake, Invited, Message, Phoned, Transcript
from ddns.selftest.voucher_checks import LATER, TRICKS
from ddns.selftest.waits import RETRY_AFTER

NOW = 1_800_000_000
ZONE_TEXT = "homes.example."
ZONE = names.from_text(ZONE_TEXT)
ONE, TWO = (
    Invited(names.from_text(f"invite-{n}.{ZONE_TEXT}"), bytes([7, n]) * 16, names.from_text(f"h{n}.{ZONE_TEXT}"))
    for n in (1, 2)
)
PORT = 4443
NAME = "ns.homes.example"
FIRST, NEXT, ANEW, OTHER, OWNER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(5))
OK, REFUSED = 0, 5


def home(invited):
    return names.to_text(invited.home)


def thumb(key):
    return jwk.kid(jwk.of(key))


def handshake(at, **changes):
    said = {"version": "TLSv1.3", "name": NAME, "stranger": False, "spoke": True} | changes
    return Handshake(at=at, until=at, now=NOW + int(at), step="", **said)


def said(act, at, **fields):
    common = {"aud": ZONE_TEXT, "iat": NOW + int(at), "exp": NOW + int(at) + 600, "jti": f"jti-of-the-second-{at}"}
    return act(**(common | fields))


def wish(key, at, invited=ONE, *, secret=None, typ=statements.TYP, kid=None, **fields):
    enrol = said(Enrol, at, **({"method": "invitation", "label": home(invited)} | fields))
    mac = ({"typ": typ, "kid": kid or names.to_text(invited.key)}, secret or invited.secret)
    return jws.sign(statements.encode(enrol), [jws.shown(key, typ), mac])


def roll(at, *by, **fields):
    return statements.sign(said(RollKey, at, sub=home(ONE), **fields), *by)


def post(at, body, status, path="/v1/enrol", retry_after=0, **headers):
    sent = {"content-type": "application/jose+json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return Exchange(
        at=at, until=at + 0.1, now=NOW + int(at), step="", method="POST", path=path, headers=sent, body=body,
        status=status, retry_after=retry_after,
    )  # fmt: skip


def hand(at, body, status):
    return Handed(at=at, until=at + 0.1, now=NOW + int(at), step="", body=body, status=status)


def message(at, octets, rcode=OK):
    """A message and its answer, of which the head is enough; *rcode* None: none came."""
    answer = b"" if rcode is None else octets[:2] + bytes([0xA8, rcode]) + bytes(8)
    return Message(at=at, until=at + 0.1, now=NOW + int(at), step="publish", octets=octets, answer=answer)


def signed(octets, key, at, name=None):
    return sig0.sign_request(octets, key, name or ONE.home, NOW + int(at))


def publish(address, *, ident=1):
    device = Device((address,))
    return update.publish(ONE.home, names.prepend(b"cam", ONE.home), device, None, ident=ident, nonce=bytes(8))


def raw(zone, name):
    """An update that adds an address at *name*, whatever its zone, and has no EDNS."""
    row = name + struct.pack("!HHIH", Type.A, CLASS_IN, 300, 4) + bytes(4)
    return struct.pack("!6H", 1, 5 << 11, 1, 0, 1, 0) + zone + struct.pack("!HH", Type.SOA, CLASS_IN) + row


def probe(zone, ident=9):
    return update.probe(zone, ident=ident, nonce=bytes(8))


def question(secret=ONE.secret, at=1):
    owner = names.from_text(f"_{PORT}._tcp.{NAME}.")
    asked = struct.pack("!6H", 1, 0, 1, 0, 0, 0) + owner + struct.pack("!HH", Type.TLSA, CLASS_IN)
    credential = Credential(0, ONE.key, "tsig", "hmac-sha256", secret=Secret(secret))
    return tsig.sign_request(asked, credential, NOW + at)[0]


LOST = signed(publish("2001:db8::7"), FIRST, 20)


def by_invitation():
    """The events of a box that is invited, publishes, rolls and is reset."""
    asked = wish(FIRST, 2)
    return {
        "stranger": handshake(0, stranger=True, spoke=False),
        "question": message(1, question()),
        "handshake": handshake(2),
        "busy": post(2, asked, 503, retry_after=RETRY_AFTER),
        "enrol": post(14, asked, 201),
        "lost": message(20, LOST, None),
        "again": message(21.2, LOST),
        "roll": post(30, roll(30, FIRST, NEXT), 200, "/v1/statements"),
        "next": message(32, signed(publish("2001:db8::8", ident=2), NEXT, 32)),
        "anew": post(40, wish(ANEW, 40, TWO), 201),
    }


def by_owner():
    """The events of a box whose owner accepts, which publishes and is reset."""
    return {
        "enrol": hand(5, wish(FIRST, 5, owner=thumb(OWNER)), 201),
        "probe": message(8, signed(probe(ONE.home), FIRST, 8)),
        "publish": message(20, LOST),
        "replace": hand(30, replace(30), 200),
        "known": message(33, signed(probe(ONE.home, 10), ANEW, 33)),
    }


def replace(at, **fields):
    return statements.sign(said(Replace, at, **({"sub": home(ONE), "same_box": True} | fields)), ANEW)


# -- a box with its maker's certificate

MAKER, REGISTRAR = Maker(), Registrar()
BOX, BOX_KEY = MAKER.device("SN-1")
STRANGER, STRANGER_KEY = Maker("Stranger").device("SN-1")
SHOWN = BOX.public_bytes(Encoding.DER)
GIVEN = b"the certificate of the domain"
BRSKI, EST = "/.well-known/brski/", "/.well-known/est/"
HOME = home(ONE)


def pvr(at, *, by=(BOX, BOX_KEY), near=None, nonce=None, **more):
    """A request for a voucher, with a nonce of its time."""
    seen = REGISTRAR.octets if near is None else near
    return box_request(*by, seen, nonce=nonce or f"the nonce of {at:04.0f}".encode(), at=NOW + int(at), **more)


def asks(at, body, status=200, *, trick="", retry_after=0, media=voucher.CMS, shown=SHOWN):
    one = post(at, body, status, f"{BRSKI}requestvoucher", retry_after, content_type=media)
    return msgspec.structs.replace(one, trick=trick, shown=shown)


def tells(at, what, good, shown=SHOWN):
    body = json.dumps({"version": 1, "status": good}).encode()
    return msgspec.structs.replace(post(at, body, 200, f"{BRSKI}{what}", content_type="application/json"), shown=shown)


def certifies(at, key, status=200, *, serial="SN-1", shown=SHOWN, spoilt=False):
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(None, serial))
    octets = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    body = b64encode(octets[:-1] + bytes([octets[-1] ^ 1]) if spoilt else octets)
    return msgspec.structs.replace(post(at, body, status, f"{EST}simpleenroll"), shown=shown)


def looks(at, path, shown):
    return msgspec.structs.replace(post(at, b"", 200, path), method="GET", shown=shown)


def gained(at, key, called=HOME):
    rdata = jwk.to_key_rdata(jwk.of(key))
    return Gained(at=at, until=at, now=NOW + int(at), step="enrol", key=rdata, home=called)


def comes(at, key, called=HOME, asked=None):
    """The events of an enrolment with a good voucher, from *at* on."""
    return {
        f"asks at {at}": asks(at, asked or pvr(at)),
        f"good at {at}": tells(at + 1, "voucher_status", good=True),
        f"wants at {at}": looks(at + 2, f"{EST}csrattrs", SHOWN),
        f"certifies at {at}": certifies(at + 3, key),
        f"gained at {at}": gained(at + 3.1, key, called),
        f"enrolled at {at}": tells(at + 4, "enrollstatus", good=True, shown=GIVEN),
        f"standing at {at}": looks(at + 5, "/v1/enrolment", GIVEN),
    }


def by_voucher():
    """The events of a box that is brought bad vouchers, waits for the good one, publishes and is reset."""
    bad = {trick: asks(2 * n, pvr(2 * n), trick=trick) for n, trick in enumerate(TRICKS)}
    told = {f"told {trick}": tells(2 * n + 1, "voucher_status", good=False) for n, trick in enumerate(TRICKS)}
    asked = pvr(20)
    later = asks(20, asked, 202, trick=LATER, retry_after=RETRY_AFTER)
    publishes = {"publish": message(50, signed(publish("2001:db8::7"), FIRST, 50))}
    return bad | told | {"later": later} | comes(40, FIRST, asked=asked) | publishes | comes(70, ANEW, home(TWO))


# -- a box with a code on it

PRINTED = ec.generate_private_key(ec.SECP256R1())
NONCE = "the-registrys-nonce"


def coded(key, at, *, by=PRINTED, nonce=NONCE, owner=OWNER, about=None, **fields):
    """A wish with the proof that the printed key is there."""
    members = {"nonce": nonce, "key": thumb(about or key), "owner": thumb(owner)}
    proof = b64.encode(jws.sign(json.dumps(members).encode(), [jws.shown(by)]))
    wanted = {"method": "qr", "label": "h1", "owner": thumb(OWNER), "proof": proof} | fields
    return statements.sign(said(Enrol, at, **wanted), key)


def phoned(at, what, status, nonce=NONCE):
    return Phoned(at=at, until=at + 0.1, now=NOW + int(at), step="enrol", what=what, status=status, nonce=nonce)


def by_code():
    """The events of a box whose code is scanned, which publishes and is reset."""
    return {
        "other": phoned(1, "other-key", 403),
        "challenge": phoned(2, "challenge", 200),
        "enrol": msgspec.structs.replace(hand(5, coded(FIRST, 5), 201), home=HOME),
        "stranger": phoned(6, "stranger", 403),
        "probe": message(8, signed(probe(ONE.home), FIRST, 8)),
        "enrolled": phoned(8.05, "enrolled", 200),
        "publish": message(20, LOST),
        "replace": hand(30, replace(30), 200),
        "known": message(33, signed(probe(ONE.home, 10), ANEW, 33)),
    }


def handed(octets, status=403):
    """What the box answers a phone at first, and the registry refuses."""
    return {"early": hand(3, octets, status)}


def transcript(method, events):
    more = {
        "invitation": {"invited": (ONE, TWO)},
        "owner": {"invited": (ONE, TWO), "owner": thumb(OWNER)},
        "voucher": {"idevid": SHOWN, "registrar": REGISTRAR.octets},
        "qr": {"owner": thumb(OWNER), "printed": thumb(PRINTED), "label": "h1"},
    }
    given = Given(method=method, zone=ZONE, web=(NAME, PORT), **more[method])
    return Transcript(given, tuple(sorted(events.values(), key=lambda one: one.at)))


GOOD = {"invitation": by_invitation, "owner": by_owner, "voucher": by_voucher, "qr": by_code}


def believed(trick):
    """What a box does that takes a bad voucher."""
    at = 2 * list(TRICKS).index(trick) + 1
    return {f"told {trick}": tells(at, "voucher_status", good=True)}


def again(body, **more):
    """A request for a voucher after all else, which gets none."""
    return {"again": asks(90, body, 403, **more)}


def broken_signature(octets):
    """The same statement with a gateway's signature that is none."""
    read = jws.read(octets)
    return jws.sign(read.payload, [({"typ": statements.TYP, "jwk": jwk.members(jwk.of(FIRST))}, OTHER)])


def other_curve():
    key = ec.generate_private_key(ec.SECP384R1())
    enrol = said(Enrol, 1, method="invitation", label=home(ONE))
    return jws.sign(statements.encode(enrol), [jws.shown(key, statements.TYP)])


def refused(octets, key=FIRST):
    """An update early on, which the registry refuses."""
    return {"early": message(19, signed(octets, key, 19), REFUSED)}


def in_the_registrys_zone():
    return update.records(ZONE, [(ONE.home, Type.A, 60, bytes(4))], [], ident=4, nonce=bytes(8))


def padded():
    octets = wish(FIRST, 1)
    return octets[:-1] + b" " * 65_536 + b"}"


def early(body, status=401, path="/v1/enrol", **headers):
    """What is posted before everything else, and refused."""
    return {"early": post(1.5, body, status, path, **headers)}


# What a box does wrong, by the check that finds it: the events that are other than a good box's (None: missing), and
# the checks that cannot but miss something, too.
FAULTS = {
    "TLS-1": ({"handshake": handshake(2, version="TLSv1.2")}, set()),
    "TLS-2": ({"handshake": handshake(2, name="")}, set()),
    "PIN-1": ({"question": message(1, question(secret=bytes(32)))}, set()),
    "BAD-1": ({"stranger": handshake(0, stranger=True, spoke=True)}, set()),
    "HTTP-1": (early(wish(FIRST, 1), content_type="application/json"), set()),
    "HTTP-2": (early(padded()), {"JWS-1"}),
    "JWS-1": (early(b"{}"), set()),
    "JWS-2": (early(broken_signature(wish(FIRST, 1))), {"INV-1"}),
    "JWS-3": (early(wish(FIRST, 1, typ="JWT")), set()),
    "STM-1": (early(wish(FIRST, 1, aud="other.example.")), set()),
    "STM-2": (early(wish(FIRST, 1, exp=NOW + 31 * 86_400)), set()),
    "STM-3": ({"anew": post(40, wish(ANEW, 40, TWO, iat=NOW - 900, exp=NOW + 900), 201)}, set()),
    "STM-4": (early(wish(FIRST, 2, label="h1")), set()),
    "INV-1": (early(wish(FIRST, 1, secret=bytes(32))), set()),
    "INV-2": (early(wish(FIRST, 1), user_agent=ONE.secret.hex()), set()),
    "INV-3": (early(wish(FIRST, 1, label="palace")), set()),
    "INV-4": (early(wish(FIRST, 1, owner=thumb(OWNER))), set()),
    "INV-5": (dict.fromkeys(by_invitation()) | early(wish(FIRST, 1), 403), set()),
    "KEY-1": (early(other_curve()), {"JWS-1"}),
    "RETRY-1": ({"enrol": post(5, wish(FIRST, 2), 201)}, set()),
    "RETRY-2": ({"enrol": post(14, wish(FIRST, 14), 201)}, set()),
    "RETRY-3": ({"busy": post(-100, wish(FIRST, 2), 503, retry_after=RETRY_AFTER)}, set()),
    "DNS-1": ({"early": message(1, b"\0\1\2")}, set()),
    "UPD-1": ({"early": message(19, publish("2001:db8::9", ident=3), REFUSED)}, set()),
    "UPD-2": (refused(publish("2001:db8::9", ident=3), OTHER), set()),
    "UPD-3": ({"early": message(19, signed(publish("2001:db8::9", ident=3), FIRST, -9000), REFUSED)}, set()),
    "UPD-4": (refused(in_the_registrys_zone()), set()),
    "UPD-5": (refused(raw(ONE.home, names.from_text("other.example."))), {"UPD-7"}),
    "UPD-6": (
        {
            "again": message(21.2, LOST, REFUSED),
            "next": message(32, signed(publish("2001:db8::8", ident=2), NEXT, 32), REFUSED),
        },
        set(),
    ),
    "UPD-7": ({"early": message(19, signed(raw(ONE.home, ONE.home), FIRST, 19))}, set()),
    "AWAY-1": ({"again": None}, set()),
    "AWAY-2": ({"again": message(21.2, signed(publish("2001:db8::7", ident=5), FIRST, 21))}, set()),
    "AWAY-3": ({"again": message(20.1, LOST)}, set()),
    "ROLL-1": ({"early": post(29, roll(29, NEXT, FIRST), 401, "/v1/statements")}, set()),
    "ROLL-2": ({"late": post(34, roll(34, NEXT, FIRST), 200, "/v1/statements")}, set()),
    "ROLL-3": ({"next": message(32, signed(publish("2001:db8::8", ident=2), FIRST, 32))}, {"ROLL-4"}),
    "ROLL-4": ({"late": message(33, signed(publish("2001:db8::9", ident=6), FIRST, 33))}, set()),
    "RESET-1": ({"anew": post(40, wish(FIRST, 40, TWO), 201)}, set()),
    "RESET-2": ({"late": message(50, signed(probe(ONE.home), NEXT, 50))}, set()),
    "QR-1": ({"other": phoned(1, "other-key", 200)}, set()),
    "QR-2": (handed(coded(OTHER, 3, by=STRANGER_KEY)), set()),
    "QR-3": (handed(coded(OTHER, 3, about=FIRST)), set()),
    "QR-4": (handed(coded(OTHER, 3, label="palace")), set()),
    "QR-5": (handed(coded(PRINTED, 3)), set()),
    "QR-6": ({"stranger": phoned(6, "stranger", 200)}, set()),
    "QR-7": ({"probe": None}, set()),
    "PVR-1": (again(pvr(90, by=(STRANGER, STRANGER_KEY))), set()),
    "PVR-2": (again(pvr(90, near=Registrar("Other").octets)), set()),
    "PVR-3": (again(pvr(90, serial="SN-2")), set()),
    "PVR-4": (again(pvr(90, nonce=b"short")), set()),
    "PVR-5": (again(pvr(90, nonce=b"the nonce of 0020")), set()),
    "PVR-6": (again(pvr(90), shown=b""), set()),
    "PVR-7": (again(pvr(90), media="application/json"), {"PVR-1"}),
    **{f"BAD-{n}": (believed(trick), {"VST-1"}) for n, trick in enumerate(TRICKS, 2)},
    "VST-1": ({"told nonce": None}, set()),
    "VST-2": ({"good at 40": None}, set()),
    "EST-1": ({"wants at 40": None, "wants at 70": None}, set()),
    "EST-2": ({"late": certifies(91, BOX_KEY, 403)}, set()),
    "EST-3": ({"late": certifies(91, OTHER, 400, spoilt=True)}, set()),
    "EST-4": ({"enrolled at 70": None}, set()),
    "EST-5": ({"standing at 40": None, "standing at 70": None}, set()),
    "EST-6": (
        dict.fromkeys(by_voucher())
        | {"wants": looks(1, f"{EST}csrattrs", SHOWN), "late": certifies(2, OTHER, 403)},
        set(),
    ),
    "OWN-1": ({"early": hand(1, wish(FIRST, 1, owner=thumb(OTHER)), 401)}, set()),
    "OWN-2": (early(wish(FIRST, 1, owner=thumb(OWNER))), set()),
    "OWN-3": ({"probe": None}, set()),
    "OWN-4": ({"early": hand(29, replace(29, sub="palace.homes.example."), 403)}, set()),
    "OWN-5": ({"replace": hand(30, replace(30, same_box=False), 200)}, set()),
}  # fmt: skip


def faulty(check):
    """Return what is written down of a box that misses *check*, and what it cannot but miss, too."""
    changes, also = FAULTS[check.id]
    method = check.methods[0]
    events = {name: one for name, one in (GOOD[method]() | changes).items() if one is not None}
    return transcript(method, events), also
