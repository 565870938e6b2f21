"""DER: whatever is read is written again as the same octets, and nothing but `BadDer` is raised."""

from ddns.proof import der

BOUND = 30_000  # calls: a walk over all parts


def seeds():
    return [
        der.sequence(der.oid("1.2.840.113549.1.9.16.1.40"), der.integer(-129), der.octet_string(bytes(200))),
        der.set_of(der.integer(1), der.time(1_800_000_000), der.value(0xA0, der.sequence())),
        der.sequence(*[der.integer(number) for number in range(300)]),
        der.octet_string(bytes(70_000)),
    ]


def work(octets):
    try:
        return der.read(octets), _walk(der.read(octets), 0)
    except der.BadDer:
        return None


def _walk(value, depth):
    """Return how many values there are; parts that cannot be read count as one."""
    if depth > 20 or not value.tag & 0x20:
        return 1
    try:
        parts = value.children()
    except der.BadDer:
        return 1
    return 1 + sum(_walk(one, depth + 1) for one in parts)


def judge(octets, outcome):
    if outcome is None:
        return
    value, _ = outcome
    assert der.value(value.tag, value.body) == value.raw == octets
    for read in (der.read_oid, der.read_integer):
        try:
            found = read(value)
        except der.BadDer:
            continue
        assert (der.oid if read is der.read_oid else der.integer)(found) == octets
