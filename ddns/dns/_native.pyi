# The native helpers that read and write octets, in C: see `native/native.h`. They are optional; `twin` chooses.
# Each returns None for what it leaves to its twin in Python.
from collections.abc import Iterable, Mapping
from typing import TypeVar

_T = TypeVar("_T")
_U = TypeVar("_U")

# Twin of `ddns.dns.names.read`.
def read_name(wire: bytes, offset: int, /) -> tuple[bytes, int] | None: ...

# Twin of `ddns.dns.names.order_key`.
def order_key(name: bytes, /) -> bytes | None: ...

# Twin of the walk of `ddns.zone.request`: the owner, type, class, TTL, offset and length of the data of each of
# *count* records, which end with the message.
def walk(message: bytes, offset: int, count: int, /) -> list[tuple[bytes, int, int, int, int, int]] | None: ...

# Twin of `ddns.auth.trailer.find`: the type, the start and the fixed part of the signature record.
def find_trailer(wire: bytes, /) -> tuple[int, int, int] | None: ...

# Twin of `ddns.auth.envelope.open_signed`, for what is well-formed: *tsig* and *sig0* are the types of the records
# that it returns, *algorithms* has the name in credentials of each algorithm of TSIG.
def open_signed(wire: bytes, tsig: type[_T], algorithms: dict[bytes, str], sig0: type[_U], /) -> _T | _U | None: ...

# Twin of `ddns.zone.request.parse`, where there are no prerequisites and each operation is well-formed and of a
# common type: ID, flags, the zone, the offset behind it, the operations, the names that they mention, what they write,
# and the rows of the additional section. *records* and *ttl* are the most that is taken.
def read_update(
    message: bytes, operation: type[_T], records: int, ttl: int, /
) -> (
    tuple[
        int,
        int,
        bytes,
        int,
        tuple[_T, ...],
        tuple[bytes, ...],
        tuple[tuple[bytes, int], ...],
        list[tuple[bytes, int, int, int, int, int]],
    ]
    | None
): ...

# Twin of `ddns.answer.served.stored`: *rrset* is the type of what it returns, *others* are the types left out.
def stored(
    rrset: type[_T], name: bytes, node: tuple[object, ...], others: frozenset[int], /
) -> tuple[_T, ...] | None: ...

# Twin of `ddns.answer.served.published`.
def published(rrset: type[_T], name: bytes, node: tuple[object, ...], rdtype: int, /) -> _T | None: ...

# Twin of `ddns.answer.served.serve`: where the signatures begin, and the octets.
def serve(rdtype: int, ttl: int, records: Iterable[bytes], sigs: tuple[bytes, ...], /) -> tuple[int, bytes] | None: ...

# Twins of `ddns.auth.tsig`: the octets that are signed, with *prefix* before the message, and the message with the
# record behind it.
def tsig_signed(
    prefix: bytes, wire: bytes, name: bytes, algorithm: bytes, time: int, fudge: int, error: int, other: bytes, /
) -> bytes | None: ...
def tsig_put(
    mac: bytes, wire: bytes, name: bytes, algorithm: bytes, time: int, fudge: int, error: int, other: bytes, /
) -> bytes | None: ...

# Twin of `ddns.zone.update.apply`, where all operations are of plain types and at the one name whose RRsets are
# *before*, not the zone's *origin*; *rrset* and *change* are types of values, the numbers are those of `Limits`.
def apply(
    operations: tuple[object, ...],
    before: tuple[_T, ...],
    origin: bytes,
    rrset: type[_T],
    change: type[_U],
    types: int,
    records: int,
    octets: int,
    /,
) -> tuple[_U, ...] | None: ...

# Twin of `ddns.answer.served.placed`: *served* is the type of what stands in a node.
def placed(served: type[object], node: tuple[_T, ...], rrset: object, /) -> tuple[tuple[_T, ...], int, int] | None: ...

# Twin of `ddns.zone.view.View.apply`: *change* is the type of the changes; None leaves all of it to Python.
def move_on(
    now: dict[bytes, tuple[_T, ...]], changed: dict[tuple[bytes, int], _U], changes: tuple[_U, ...], change: type[_U], /
) -> bool | None: ...

# Twin of `ddns.zone.plain.step`.
def plain_step(
    changes: tuple[object, ...],
    before: Mapping[bytes, tuple[_T, ...]],
    now: Mapping[bytes, tuple[_T, ...]],
    origin: bytes,
    serial: int,
    moving: frozenset[int],
    moving_at_apex: frozenset[int],
    rrset: type[_T],
    /,
) -> tuple[int, tuple[_T, ...]] | None: ...

# Twin of what `ddns.zone.plain.complete` puts together: *rrset* is the type of what it returns.
def signed_rrsets(
    rrset: type[_T], rrsets: tuple[object, ...], sigs: tuple[tuple[bytes, ...], ...], /
) -> tuple[_T, ...] | None: ...

# Twin of `ddns.answer.served.replaced`.
def replaced(
    rrset: type[_T], nodes: Mapping[bytes, tuple[object, ...]], added: tuple[_T, ...], /
) -> tuple[_T, ...] | None: ...

# Twin of `ddns.answer.image.ZoneImage.patch` where as much comes as leaves, at the same places and of types that are
# not among *others*: how many octets that is more, and the places.
def replace(
    served: type[_T],
    nodes: dict[bytes, tuple[_T, ...]],
    removed: tuple[object, ...],
    added: tuple[object, ...],
    others: frozenset[int],
    /,
) -> tuple[int, tuple[tuple[bytes, int], ...]] | None: ...

# Twin of what `ddns.answer.table.Table.patch` looks for: the name and the question of each of *places* that stands in
# one of the three dicts of questions, or whose name is in *reached*.
def asked(
    places: tuple[tuple[bytes, int], ...],
    bare: dict[bytes, _T],
    plain: dict[bytes, _T],
    signed: dict[bytes, _T],
    reached: dict[bytes, _U],
    /,
) -> list[tuple[bytes, bytes]] | None: ...

# Twin of `ddns.store.packing.packed`: *elements* are the oids of the composite types of which there are arrays.
def pack_parameters(
    parameters: list[bytes | int | tuple[bytes, list[tuple[object, ...]]]], elements: tuple[int, ...], /
) -> list[bytes] | None: ...

# Twin of `ddns.store.unpacking.unpacked`: *rrset* is the type of the signed RRsets in it.
def unpack_rows(kinds: bytes, cells: list[bytes | None], rrset: type[object], /) -> list[tuple[object, ...]] | None: ...
