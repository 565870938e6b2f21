"""The RFC 2136 tables: the same signed octets to our server, BIND and Knot; the same answer, zone and serial after.

Where a peer differs, docs/reference/differences.md says why, by ids that the rows name. Each row works below a name of
its own, so that all of them share the servers, and most of them a zone.
"""

import base64
import contextlib
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import differences
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import messages
import pytest
import update_rows
from line import Line
from peers import Peer, as_read
from service import eventually

KEY = "rows."
SECRET = base64.b64encode(b"updates beside their peers, row by").decode()
ROWS = {row.id: row for row in update_rows.rows()}
# What signers put into a zone that they sign, which is compared elsewhere; its serial moves when they like.
MADE = {
    dns.rdatatype.from_text(one)
    for one in ("RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "TYPE65534")
}


@dataclass(frozen=True)
class Outcome:
    """What became of a row: the RCODE or `silence`, whether the serial moved, and what is there afterwards."""

    code: str
    moved: bool
    content: frozenset

    def show(self):
        return self.code, "moved" if self.moved else "still", sorted(map(str, self.content))


def serial(line, origin):
    """Return the zone's serial, as the server answers it."""
    answer = dns.message.from_wire(line.exchange(dns.message.make_query(origin, "SOA").to_wire()))
    return answer.answer[0][0].serial


def code_of(answer):
    """Return the RCODE of an answer's octets, the extended bits of its OPT included."""
    if answer is None:
        return "silence"
    upper = 0
    with contextlib.suppress(dns.exception.DNSException):
        upper = dns.message.from_wire(answer, keyring=False).rcode() & 0xFF0
    return dns.rcode.to_text(upper | answer[3] & 15)


def records(message):
    """Yield the answers of a transfer's message as (owner, type, TTL, data), canonical where the data parses."""
    _, _, questions, answers = struct.unpack_from("!4H", message)
    at = 12
    for index in range(-questions, answers):
        owner, size = dns.name.from_wire(message, at)
        at += size
        if index < 0:
            at += 4
            continue
        rdtype, _, ttl, length = struct.unpack_from("!HHIH", message, at)
        at += 10
        try:
            data = dns.rdata.from_wire(1, rdtype, message, at, length).to_digestable()
        except dns.exception.DNSException:
            data = message[at : at + length]
        at += length
        yield owner.to_digestable(), rdtype, ttl, data


def read_zone(line, origin):
    """Return a zone as it is transferred: a set of records, the SOA without its serial."""
    out, soas = set(), 0
    message = line.exchange(messages.tsig_signed(messages.transfer(origin), KEY, SECRET))
    while True:
        for owner, rdtype, ttl, data in records(message):
            soas += rdtype == dns.rdatatype.SOA
            out.add((owner, rdtype, ttl, without_serial(rdtype, data)))
        if soas == 2:
            return out
        message = line.read()


def without_serial(rdtype, data):
    return data[:-20] + data[-16:] if rdtype == dns.rdatatype.SOA else data


def shown(content):
    """Return a set of records for people."""
    return frozenset(
        f"{dns.name.from_wire(owner, 0)[0]} {ttl} {dns.rdatatype.to_text(rdtype)} {data.hex()}"
        for owner, rdtype, ttl, data in content
    )


def below(content, row):
    """Return what of *content* is the row's, without what the server's own signer made."""
    here = dns.name.from_text(row.here).to_digestable()
    return shown({one for one in content if one[0].endswith(here) and not (row.signed and one[1] in MADE)})


def master_files(folder):
    """Write the zones of all rows and return their files."""
    lines = {}
    for row in ROWS.values():
        zone = lines.setdefault(row.origin, [])
        if not zone:
            zone.append(f"@ 3600 SOA {update_rows.SOA.format(row.serial)}")
            zone += [f"@ 3600 NS ns{number}.elsewhere.test." for number in (1, 2)]
        zone += row.lines()
    files = {}
    for origin, text in lines.items():
        files[origin] = folder / f"{origin}zone"
        files[origin].write_text(f"$ORIGIN {origin}\n" + "\n".join(text) + "\n")
        files[origin].chmod(0o644)
    return files


SIGNED = {row.origin for row in ROWS.values() if row.signed}


def set_up(registry, files):
    """Bring zones and key into our registry, and wait until they are answered for."""
    parts = [f'[[key]]\nname = "{KEY}"\nalgorithm = "hmac-sha256"\nsecret = "{SECRET}"\n']
    for origin, file in files.items():
        denial = "nsec3" if origin in SIGNED else "none"
        parts.append(f'[[zone]]\nname = "{origin}"\nfile = "{file}"\ndenial = "{denial}"\n')
        parts.append(f'grants = [{{ key = "{KEY}" }}]\ntransfer = {{ keys = ["{KEY}"] }}\n')
    registry.apply("".join(parts))
    for origin in files:
        eventually(lambda origin=origin: registry.ask(origin, "SOA").answer)
    for origin in SIGNED:
        eventually(lambda origin=origin: registry.signed(origin))


@pytest.fixture(scope="module")
def outcomes(registry, tmp_path_factory):
    """Send every row to every server, and return what became of it, by row and server."""
    folder = tmp_path_factory.mktemp("rows")
    files = master_files(registry.folder)
    set_up(registry, files)
    wires = {row.id: messages.tsig_signed(row.wire(), KEY, SECRET) for row in ROWS.values()}
    done = {}

    def send(server, port):
        line = Line(port)
        for row in ROWS.values():
            if server in row.spare:
                continue
            before = serial(line, row.origin)
            code = code_of(line.exchange(wires[row.id]))
            done[row.id, server] = code, serial(line, row.origin) != before
        line.close()

    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(
                Peer(name, folder / name, copies(files, folder, name), key=(KEY, SECRET), signed=SIGNED)
            )
            for name in ("bind", "knot")
        ]
        ports = {"ours": registry.port} | {peer.name: peer.port for peer in running}
        with ThreadPoolExecutor() as threads:
            list(threads.map(send, *zip(*ports.items(), strict=True)))
        contents = {}
        for server, port in ports.items():
            line = Line(port)
            contents[server] = {origin: read_zone(line, origin) for origin in files}
            line.close()
    return {
        row.id: {
            server: Outcome(*done[row.id, server], below(contents[server][row.origin], row))
            for server in ports
            if server not in row.spare
        }
        for row in ROWS.values()
    }


def copies(files, folder, name):
    """Return copies of zone files that a server may write to."""
    out = {}
    for origin, file in files.items():
        out[origin] = folder / f"{name}-{origin}zone"
        out[origin].write_bytes(file.read_bytes())
    return out


@pytest.mark.parametrize("case", ROWS)
def test_a_row_is_done_as_the_peers_do_it(outcomes, case):
    """A peer that differs must be one that the row's reasons name; a release that nobody has read may, but not both."""
    row, outcome = ROWS[case], outcomes[case]
    ours = outcome["ours"]
    others = [peer for peer in outcome if peer != "ours" and outcome[peer] != ours]

    assert (ours.code, ours.moved) == (row.code, row.change)
    unexplained = [peer for peer in others if peer not in differences.peers(row.differs)]
    read = [peer for peer in unexplained if as_read(peer)]
    assert not read, "".join(f"\n{one}: {outcome[one].show()}" for one in ("ours", *read))
    assert len(unexplained) < len(outcome) - 1, "ours is alone"
