"""Questions and updates on one port, kept apart before they are read: each kind has a receive buffer of its own.

A flood of updates must not push questions out of a socket's buffer. Of the sockets that share a port the first
half gets everything but updates, the second half gets updates: a program of twelve instructions in the kernel
looks at the OPCODE. Within its half a question goes by chance, each anew: the few ports of a large resolver would
load one worker more than another, and no worker knows anything of an asker. An update goes by the sender's address,
so that the worker which has seen a home's good signature sees its next update too.
"""

from __future__ import annotations

import ctypes
import socket
import struct

from ddns.dns.codes import Opcode

SO_ATTACH_REUSEPORT_CBPF = 51  # asm-generic/socket.h; Linux 4.5 and later, without a privilege

# Classic BPF (linux/filter.h). Offsets from `_NET` count from the IP header, others from the datagram's first octet.
_LOAD_BYTE, _LOAD_WORD = 0x30, 0x20
_AND, _ADD, _MULTIPLY, _SHIFT, _MODULO = 0x54, 0x04, 0x24, 0x74, 0x94
_JUMP_IF_EQUAL, _RETURN_A = 0x15, 0x16
_NET = 0xFFF00000
_CHANCE = 0xFFFFF000 + 56  # not in the datagram: SKF_AD_RANDOM, a number by chance; Linux 3.16 and later
_SPREAD = 0x9E3779B1  # an odd number near 2**32 over the golden ratio: neighbours end far apart
_INSTRUCTION = struct.Struct("HBBI")

# Where the sender's address (its last four octets) stands behind the IP header's begin.
_SENDER = {socket.AF_INET: 12, socket.AF_INET6: 20}


def keep_apart(sock: socket.socket, workers: int) -> bool:
    """Steer what comes to the *workers* times two sockets that share *sock*'s port; True where the kernel takes it.

    The group's first *workers* sockets, in the order in which they were bound, get all but updates. Where the
    kernel refuses, all get everything, as the kernel likes.
    """
    code = b"".join(_INSTRUCTION.pack(*one) for one in _program(workers, _SENDER[sock.family]))
    held = ctypes.create_string_buffer(code, len(code))
    try:
        sock.setsockopt(
            socket.SOL_SOCKET,
            SO_ATTACH_REUSEPORT_CBPF,
            struct.pack("HL", len(code) // _INSTRUCTION.size, ctypes.addressof(held)),
        )
    except OSError:
        return False
    return True


def _program(workers: int, address: int) -> list[tuple[int, int, int, int]]:
    return [
        (_LOAD_BYTE, 0, 0, 2),
        (_AND, 0, 0, 0x78),
        (_JUMP_IF_EQUAL, 3, 0, Opcode.UPDATE << 3),
        (_LOAD_WORD, 0, 0, _CHANCE),
        (_MODULO, 0, 0, workers),
        (_RETURN_A, 0, 0, 0),
        (_LOAD_WORD, 0, 0, _NET + address),
        (_MULTIPLY, 0, 0, _SPREAD),
        (_SHIFT, 0, 0, 16),
        (_MODULO, 0, 0, workers),
        (_ADD, 0, 0, workers),
        (_RETURN_A, 0, 0, 0),
    ]
