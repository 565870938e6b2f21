# The native helpers that read and write octets, in C: see `native/native.h`. They are optional; `twin` chooses.
# Each returns None for what it leaves to its twin in Python.

# Twin of `ddns.dns.names.read`.
def read_name(wire: bytes, offset: int, /) -> tuple[bytes, int] | None: ...

# Twin of `ddns.dns.names.order_key`.
def order_key(name: bytes, /) -> bytes | None: ...

# Twin of the walk of `ddns.zone.request`: the owner, type, class, TTL, offset and length of the data of each of
# *count* records, which end with the message.
def walk(message: bytes, offset: int, count: int, /) -> list[tuple[bytes, int, int, int, int, int]] | None: ...

# Twin of `ddns.auth.trailer.find`: the type, the start and the fixed part of the signature record.
def find_trailer(wire: bytes, /) -> tuple[int, int, int] | None: ...

# Twin of `ddns.store.packing.rows_of`: *kinds* has a letter for each column of *rows*.
def pack_rows(kinds: bytes, rows: list[tuple[object, ...]], /) -> bytes | None: ...
