# The native twin of the hot path, in C: see `native/native.h`. It is optional; `hot` chooses.

from typing import Any, final

from ddns.answer.rrl import Rrl
from ddns.answer.table import Table

# SipHash-2-4 of *message* under the 16 octets of *key*, as `ddns.answer.siphash`.
def siphash24(key: bytes, message: bytes, /) -> bytes: ...

# The native twin of `ddns.answer.hot.PureAnswerer`: it reads the dicts of *table* and of *rrl*.
@final
class Answerer:
    def __new__(cls, table: Table, rrl: Rrl) -> Answerer: ...

    # Return the answer to *datagram*, which came over a stream; None: Python has to find it.
    def lookup(self, datagram: bytes, /) -> bytes | None: ...

    # Read at most *most* datagrams from the UDP socket *fd* and send the answers that are known. Return how many
    # were read, and those that Python has to answer in their order, each with its peer and, where the socket
    # is bound to a *wildcard* address, the ancillary data with which a reply leaves from the address that was
    # asked. *now* is for Rrl.judge, in seconds.
    def drain(
        self, fd: int, wildcard: bool, most: int, now: float, /
    ) -> tuple[int, list[tuple[bytes, tuple[Any, ...], list[tuple[int, int, bytes]] | None]]]: ...

    # Send on the UDP socket *fd* all of *parcels*: answers, each with peer and ancillary data as `drain` gives them.
    def send(self, fd: int, parcels: list[tuple[bytes, Any, Any]], /) -> None: ...

    # Answer the framed messages in *octets* from the offset *at* on; see `ddns.answer.framing.Frames`.
    def frames(self, octets: bytes, at: int, /) -> tuple[bytes, int]: ...

    # Read once from the TCP socket *fd*, answer what is known, send; see `ddns.net.exchange.Exchange`.
    def exchange(self, fd: int, /) -> int | tuple[bytes, int, bytes]: ...
