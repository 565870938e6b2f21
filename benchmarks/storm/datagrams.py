"""Many datagrams in one system call, sent and received, each from an address of its own: sendmmsg and recvmmsg.

Law: what a simulation of thousands of senders costs is taken from the server beside it. One socket stands for all of
them: a message says from which address of loopback it leaves (IP_PKTINFO), an answer to which one it came. Only Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import socket
import struct

SLOTS = 1024  # datagrams in one call
LARGEST = 1536  # octets of an answer that are looked at
BUFFER = 8 << 20  # octets that wait in the socket, where the kernel allows so many

_IP_PKTINFO = 8
_SO_RCVBUFFORCE = 33
_POINTERS = struct.Struct("@QQ")
_SIZE = struct.Struct("@I")
# struct mmsghdr: name and its size, vector and its size, control and its size, flags; then how long the datagram was.
_MESSAGE = struct.Struct("@QI4xQQQQi4xI4x")
_CONTROL = struct.Struct("@Qii")  # struct cmsghdr
_PKTINFO = struct.Struct("@i4s4s")
_CONTROL_SIZE = 32  # CMSG_SPACE of a struct in_pktinfo
_VECTOR = 32  # octets of two struct iovec
_ADDRESS = _CONTROL.size + 8  # where the control message of an answer says to which address it came
_COUNT = _MESSAGE.size - 8

_libc = ctypes.CDLL(None, use_errno=True)


def address_of(buffer: bytearray | mmap.mmap) -> int:
    """Return where *buffer* lies in memory; it must stay, and keep its size."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class Datagrams:
    """One socket of all senders; a message has a *head* and a *tail*, each at an address in memory."""

    def __init__(self, server: tuple[str, int], port: int = 0) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        self._sock.bind(("0.0.0.0", port))  # what it stands for is in `source`
        self._name = bytearray(struct.pack("=H", socket.AF_INET) + struct.pack("!H", server[1]))
        self._name += socket.inet_aton(server[0]) + bytes(8)
        self.vectors = bytearray(SLOTS * _VECTOR)
        self._sources = bytearray(SLOTS * _CONTROL_SIZE)
        self._going = bytearray(SLOTS * _MESSAGE.size)
        name, vector, control = address_of(self._name), address_of(self.vectors), address_of(self._sources)
        for slot in range(SLOTS):
            _MESSAGE.pack_into(
                self._going, slot * _MESSAGE.size, name, len(self._name), vector + slot * _VECTOR, 2,
                control + slot * _CONTROL_SIZE, _CONTROL_SIZE, 0, 0,
            )  # fmt: skip
            _CONTROL.pack_into(self._sources, slot * _CONTROL_SIZE, _CONTROL.size + 12, socket.IPPROTO_IP, _IP_PKTINFO)
        self._into = bytearray(SLOTS * _VECTOR)
        self.octets = bytearray(SLOTS * LARGEST)
        self.controls = bytearray(SLOTS * _CONTROL_SIZE)
        self.coming = bytearray(SLOTS * _MESSAGE.size)
        octets, vector, control = address_of(self.octets), address_of(self._into), address_of(self.controls)
        for slot in range(SLOTS):
            _POINTERS.pack_into(self._into, slot * _VECTOR, octets + slot * LARGEST, LARGEST)
            _MESSAGE.pack_into(
                self.coming, slot * _MESSAGE.size, 0, 0, vector + slot * _VECTOR, 1,
                control + slot * _CONTROL_SIZE, _CONTROL_SIZE, 0, 0,
            )  # fmt: skip
        self._from, self._to = address_of(self._going), address_of(self.coming)

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def port(self) -> int:
        """Return the port that all senders share."""
        return int(self._sock.getsockname()[1])

    def source(self, slot: int, address: bytes) -> None:
        """Have what is sent from *slot* leave from *address*, four octets."""
        _PKTINFO.pack_into(self._sources, slot * _CONTROL_SIZE + _CONTROL.size, 0, address, bytes(4))

    def put(self, slot: int, head: int, size: int) -> None:
        """Have *slot* begin with the *size* octets at the address *head*."""
        _POINTERS.pack_into(self.vectors, slot * _VECTOR, head, size)

    def tail(self, slot: int, tail: int, size: int) -> None:
        """Have *slot* end with the *size* octets at the address *tail*."""
        _POINTERS.pack_into(self.vectors, slot * _VECTOR + _POINTERS.size, tail, size)

    def send(self, first: int, count: int) -> int:
        """Send *count* slots from *first* on; return how many went out: what the kernel has no room for is lost."""
        sent = 0
        while sent < count:
            at = self._from + (first + sent) * _MESSAGE.size
            done = _libc.sendmmsg(self._sock.fileno(), ctypes.c_void_p(at), count - sent, socket.MSG_DONTWAIT)
            if done <= 0:
                if ctypes.get_errno() == errno.ECONNREFUSED:
                    continue  # which tells of an earlier datagram
                break
            sent += done
        return sent

    def receive(self) -> int:
        """Read what has come, at most `SLOTS` datagrams; return how many: they are in `octets`, at `LARGEST` each."""
        done: int = _libc.recvmmsg(self._sock.fileno(), ctypes.c_void_p(self._to), SLOTS, socket.MSG_DONTWAIT, None)
        return max(done, 0)

    def answer(self, slot: int) -> tuple[bytes, bytes]:
        """Return what came in *slot* and to which address, four octets."""
        at = slot * LARGEST
        (size,) = _SIZE.unpack_from(self.coming, slot * _MESSAGE.size + _COUNT)
        control = slot * _CONTROL_SIZE + _ADDRESS
        return bytes(self.octets[at : at + size]), bytes(self.controls[control : control + 4])

    def column(self, place: int, count: int) -> bytes:
        """Return the octet at *place* of each of the first *count* answers."""
        return bytes(self.octets[place : count * LARGEST : LARGEST])

    def hosts(self, place: int, count: int) -> bytes:
        """Return the octet at *place* of the address to which each of the first *count* answers came."""
        return bytes(self.controls[_ADDRESS + place : count * _CONTROL_SIZE : _CONTROL_SIZE])

    def close(self) -> None:
        self._sock.close()
