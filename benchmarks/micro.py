"""Time one operation at a time, in one process: micro.py [--homes 10000] [--seconds 0.5] [NAME...].

Prints microseconds per operation, the best of five runs, and operations a CPU second. What the kernel, the reactor,
Postgres and the other processes cost is not in it.
"""

import argparse
import io
import random
import struct
import time
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ddns.answer import hot
from ddns.answer.cookied import Cookied
from ddns.answer.cookies import Cookies
from ddns.answer.image import ZoneImage
from ddns.answer.responder import Responder
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.answer.table import Table
from ddns.auth import sig0, tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.dns.names import Name
from ddns.dns.records import RRset
from ddns.dns.zonefile import read_zone
from ddns.zone import request, update
from ddns.zone.view import View
from zone_signer.keyring import ZoneKeys
from zone_signer.plan import whole
from zone_signer.policy import Policy
from zone_signer.records_of_keys import KeyRecords
from zone_signer.sign import carry_out
from zone_signer.vault import Vault

UDP = Asker(Transport.UDP, "192.0.2.1")
ORIGIN = names.from_text("homes.example.")
NOW = 1_900_000_000
EDNS_DO = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"


def master_file(homes: int) -> bytes:
    lines = ["$TTL 300", "@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 300", "@ 3600 NS ns1", "ns1 A 127.0.0.1"]
    for home in range(homes):
        label = f"h{home:06d}"
        lines += [
            f"{label} A 10.{home >> 16}.{home >> 8 & 255}.{home & 255}",
            f"{label} AAAA 2001:db8::{home:x}",
            f"cam.{label} AAAA 2001:db8::{home:x}",
            f"_443._tcp.cam.{label} TLSA 3 1 1 {home + 1:064x}",
        ]
    return "\n".join(lines).encode() + b"\n"


def query(name: bytes, rdtype: int, ident: int = 1) -> bytes:
    return struct.pack("!6H", ident, 0, 1, 0, 0, 1) + name + struct.pack("!2H", rdtype, 1) + EDNS_DO


def update_message(home: bytes) -> bytes:
    """Replace the A and the AAAA of *home*."""

    def record(rdtype: int, rdclass: int, ttl: int, rdata: bytes) -> bytes:
        return home + struct.pack("!2HIH", rdtype, rdclass, ttl, len(rdata)) + rdata

    operations = [
        record(1, 255, 0, b""),
        record(28, 255, 0, b""),
        record(1, 1, 300, b"\n\1\2\3"),
        record(28, 1, 300, bytes(16)),
    ]
    header = struct.pack("!6H", 7, 5 << 11, 1, 0, len(operations), 0)
    return header + ORIGIN + struct.pack("!2H", 6, 1) + b"".join(operations)


def zone(homes: int) -> dict[Name, tuple[RRset, ...]]:
    """Return the unsigned records of the zone, by owner."""
    found: dict[Name, list[RRset]] = {}
    for rrset in read_zone(io.BytesIO(master_file(homes)), "homes.zone", ORIGIN).rrsets:
        found.setdefault(rrset.name, []).append(rrset)
    return {name: tuple(rrsets) for name, rrsets in found.items()}


def operations(homes: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is measured, each with a function that does it once."""
    dice = random.Random(1)
    records = zone(homes)
    key, _ = Vault(bytes(32)).make(ORIGIN, 13)
    keys = ZoneKeys(ORIGIN, [key], KeyRecords.of_one(key.public, (key.algorithm, key.tag)))
    plan = whole(ORIGIN, "nsec3", records, keys.records, {}, Policy(), NOW)
    done = carry_out(plan, keys, Policy(), NOW)
    table = Table()
    table.install(ZoneImage(1, ORIGIN, 1, done.added))
    responder = Responder(table)

    owners = [names.from_text(f"h{dice.randrange(homes):06d}.homes.example.") for _ in range(1000)]
    questions = [query(owner, 1) for owner in owners]
    for question in questions:
        responder.respond(question, UDP)
    missing = [query(names.from_text(f"{dice.getrandbits(60):x}.homes.example."), 1) for _ in range(50_000)]
    known, absent = Cycle(questions), Cycle(missing)
    yield "lookup: a remembered answer", lambda: table.lookup(known.next())
    yield "respond: a name that does not exist", lambda: responder.respond(absent.next(), UDP)
    yield "lookup: a name that does not exist", lambda: table.lookup(absent.next())
    if hot.NativeAnswerer is not None:
        native = hot.NativeAnswerer(table, Rrl(RrlLimits())).lookup
        yield "native lookup: a remembered answer", lambda: native(known.next())
        yield "native lookup: a name that does not exist", lambda: native(absent.next())
    yield from cookie_operations(table, questions)

    home = owners[0]
    message = update_message(home)
    view = View({ORIGIN: records[ORIGIN], home: records[home]})
    parsed = request.parse(message)
    assert isinstance(parsed, request.Update)
    yield "update: parse", lambda: request.parse(message)
    yield "update: apply", lambda: update.apply(parsed, view, signed=True)

    shared = Credential(1, names.from_text("k."), "tsig", "hmac-sha256", secret=Secret(bytes(32)))
    signed, _ = tsig.sign_request(message, shared, NOW)

    def check_tsig() -> None:
        record = tsig.cut(signed)
        assert isinstance(record, tsig.TsigRecord)
        assert tsig.verify(record, shared, NOW) is None

    record = tsig.cut(signed)
    assert isinstance(record, tsig.TsigRecord)
    reply = message[:2] + b"\xa8\0" + bytes(8)
    yield "TSIG: cut and verify", check_tsig
    yield "TSIG: sign the reply", lambda: tsig.sign_reply(reply, record, shared, NOW)

    for label, private in (
        ("P-256", ec.generate_private_key(ec.SECP256R1())),
        ("Ed25519", ed25519.Ed25519PrivateKey.generate()),
    ):
        public = keys.key_rdata(private, keys.FLAGS_HOST)
        own = Credential(2, home, "sig0", str(public[3]), tag=keys.key_tag(public), public=public)
        octets = sig0.sign_request(message, private, home, NOW)

        def check_sig0(octets: bytes = octets, own: Credential = own) -> None:
            found = sig0.cut(octets)
            assert isinstance(found, sig0.Sig0Record)
            assert isinstance(sig0.verify(found, sig0.candidates(found, [own])), Credential)

        yield f"SIG(0), {label}: cut and verify", check_sig0

    rrset = next(one for one in records[home] if one.type == 28)
    yield (
        "sign one RRset (P-256)",
        lambda: keys.in_zone[0].sign(rrset.name, rrset.type, rrset.ttl, rrset.rdatas, NOW - 3600, NOW + 86400),
    )


def cookie_operations(table: Table, questions: list[bytes]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield questions for remembered answers with a cookie: one of ours, and an asker's own as `dig` sends it."""
    cookies = Cookies(bytes(32))
    cookied = Cookied(table, cookies)
    ours = [cookies.renew(number.to_bytes(8, "big"), UDP.source, NOW) for number in range(len(questions))]
    for name, shown in (("a good cookie", ours), ("a client's cookie", [cookie[:8] for cookie in ours])):
        asked = [
            question[:-2] + struct.pack("!3H", 4 + len(cookie), 10, len(cookie)) + cookie
            for question, cookie in zip(questions, shown, strict=True)
        ]
        for question in asked:
            cookied.answer(question, UDP.source, NOW)
        messages = Cycle(asked)
        yield f"lookup: with {name}", lambda messages=messages: cookied.answer(messages.next(), UDP.source, NOW)


class Cycle:
    """The next of a list, for ever."""

    def __init__(self, items: list[bytes]) -> None:
        self._items = items
        self._at = 0

    def next(self) -> bytes:
        self._at = (self._at + 1) % len(self._items)
        return self._items[self._at]


def measure(deed: Callable[[], object], seconds: float) -> float:
    """Return the CPU seconds that *deed* takes, the best of five runs."""
    count = 1
    while True:
        began = time.process_time()
        for _ in range(count):
            deed()
        took = time.process_time() - began
        if took > seconds / 10:
            break
        count *= 4
    count = max(1, int(count * seconds / 5 / took))
    best = took
    for _ in range(5):
        began = time.process_time()
        for _ in range(count):
            deed()
        best = min(best, (time.process_time() - began) / count)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--homes", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("name", nargs="*", help="only those whose name holds one of these words")
    chosen = parser.parse_args()
    for name, deed in operations(chosen.homes):
        if not chosen.name or any(word.lower() in name.lower() for word in chosen.name):
            cost = measure(deed, chosen.seconds)
            print(f"{name:45} {cost * 1e6:9.2f} µs {1 / cost:12,.0f} /s", flush=True)


if __name__ == "__main__":
    main()
