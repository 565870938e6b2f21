"""What one input of the native twin's libFuzzer target does: both twins say the same of it, over every way in.

The table is that of the target `message`; the responder answers in between, so that the table learns and forgets.
"""

import os
import socket

os.environ["DDNS_PURE"] = "1"  # the twin under test is linked into the program, not imported from the package

import _native
from fuzz_message import OPTIONS, RESPONDER, TABLE

from ddns.answer.framing import PureFramer
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.dns.asker import Asker, Transport

COOKIE = b"\0\x0a\0\x18"  # an option's code and length, RFC 7873 section 4
DEEP = 12 + 2 * 40  # octets from which on a name may have so many labels that only Python follows it below what exists
SERVER_COOKIE = 16  # octets, RFC 9018 section 4
NOW = 1_700_000_000.0
HOST = "127.0.0.1"
ASKER = Asker(Transport.UDP, HOST)
RRL = Rrl(RrlLimits(), OPTIONS.cookies)
NATIVE = _native.Answerer(TABLE, RRL)
PURE = PureFramer(TABLE.lookup)
SERVER, CLIENT = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
SERVER.bind((HOST, 0))
CLIENT.bind((HOST, 0))
CLIENT.connect(SERVER.getsockname())
CLIENT.setblocking(False)
RRL.turn(NOW)


def once(octets):
    look_up(octets)
    RESPONDER.respond(octets, ASKER)
    look_up(octets)
    frames(octets)
    drain(octets)


def look_up(octets):
    known, native = TABLE.lookup(octets), NATIVE.lookup(octets)
    assert native == known or (native is None and len(octets) > DEEP)


def frames(octets):
    """As a stream of its own, and as two messages and the begin of a third."""
    framed = len(octets).to_bytes(2, "big") + octets
    for stream in (octets, framed * 2 + framed[:-1]):
        assert NATIVE.frames(stream, 0) == PURE.frames(stream, 0) or len(octets) > DEEP


def drain(octets):
    """As a datagram it is answered or handed over, never both, and too short a one neither."""
    CLIENT.send(octets)
    seen, aside = NATIVE.drain(SERVER.fileno(), len(octets) % 2 == 1, 64, NOW)
    try:
        answer = CLIENT.recv(65535)
    except BlockingIOError:
        answer = None
    assert seen == 1
    if len(octets) < 12:
        assert (aside, answer) == ([], None)
    elif aside:
        assert [wire for wire, _, _ in aside] == [octets[:4096]]
        assert answer is None
    else:
        assert answer is not None
        assert answer[:2] == octets[:2]
        slow = RESPONDER.respond(octets, ASKER)
        made = slow[-28:-24] == COOKIE and answer[-28:-24] == COOKIE  # the server's part says when
        end = -SERVER_COOKIE if made else None
        assert (len(answer), answer[:end]) == (len(slow), slow[:end])
