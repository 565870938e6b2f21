"""The same rules in our words and as BIND's `update-policy`: every key may write the same names and types in both."""

import contextlib
import itertools
import subprocess

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
import pytest
from ports import free_port
from service import eventually
from tools import need

ZONE = "twin.example."
SECRET = "dHdpbiB0d2luIHR3aW4gdHdpbiB0d2lu"
RECORDS = "$TTL 300\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 127.0.0.1\n"

# key, our rule, BIND's statement
RULES = [
    ("all", "", "grant all. zonesub ANY;"),
    ("below", 'name = "x.twin.example."', "grant below. subdomain x.twin.example. ANY;"),
    ("exact", 'rule = "name", name = "x.twin.example."', "grant exact. name x.twin.example. ANY;"),
    ("typed", 'name = "x.twin.example.", types = ["A", "TXT"]', "grant typed. subdomain x.twin.example. A TXT;"),
    ("own.twin.example", 'rule = "self"', "grant own.twin.example. self . ANY;"),
    ("deep.twin.example", 'rule = "selfsub", types = ["A"]', "grant deep.twin.example. selfsub . A;"),
    ("wild", 'rule = "wildcard", name = "*.x.twin.example."', "grant wild. wildcard *.x.twin.example. ANY;"),
    ("but", 'name = "x.twin.example.", deny = "no"', "deny but. subdomain x.twin.example. ANY;"),
    ("but", 'types = ["MX"], deny = "no"', "deny but. zonesub MX;"),
    ("but", "", "grant but. zonesub ANY;"),
    ("few", 'types = ["A(2)"]', "grant few. zonesub A(2);"),
]
KEYS = list(dict.fromkeys(key for key, _, _ in RULES))
OWNERS = ["@", "x", "X", "a.x", "a.b.x", "*.x", "xx", r"a\.x", r"\001x", "own", "a.own", "deep", "a.b.deep", "*"]
RECORD = {"A": "192.0.2.1", "TXT": "text", "MX": "10 mail.example."}


@pytest.fixture(scope="module")
def ours(registry):
    """Yield the port of our service with the zone, the keys and our rules."""
    (registry.folder / "twin.zone").write_text(RECORDS)
    keys = [f'[[key]]\nname = "{key}."\nalgorithm = "hmac-sha256"\nsecret = "{SECRET}"\n' for key in KEYS]
    rules = [f'{{ key = "{key}."{", " if rule else ""}{rule} }}' for key, rule, _ in RULES]
    zone = f'[[zone]]\nname = "{ZONE}"\nfile = "twin.zone"\ndenial = "none"\ngrants = [{", ".join(rules)}]\n'
    registry.apply("".join([*keys, zone]))
    eventually(lambda: registry.values(ZONE, "SOA"))
    yield registry.port
    registry.ddns("zone", "remove", ZONE)


@pytest.fixture(scope="module")
def bind(registry):
    """Yield the port of a BIND with the same zone and keys and its own rules."""
    port = free_port()
    folder = registry.folder / "named-policy"
    folder.mkdir()
    (folder / "twin.zone").write_text(RECORDS)
    (folder / "hints").write_text(". 3600 IN NS a.invalid.\na.invalid. 3600 IN A 127.0.0.1\n")
    keys = "".join(f'key "{key}." {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n' for key in KEYS)
    (folder / "named.conf").write_text(f"""\
options {{ directory "{folder}"; pid-file "{folder}/pid"; session-keyfile "{folder}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; notify no; dnssec-validation no;
  empty-zones-enable no; }};
controls {{ }};
{keys}zone "." {{ type hint; file "hints"; }};
zone "{ZONE}" {{ type primary; file "twin.zone"; check-names ignore;
  update-policy {{ {" ".join(statement for _, _, statement in RULES)} }}; }};
""")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [need("named"), "-f", "-n", "1", "-c", folder / "named.conf"], stdout=log, stderr=log
        )
    try:
        query = dns.message.make_query(ZONE, "SOA")

        def up():
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError, dns.exception.Timeout):
                return dns.query.udp(query, "127.0.0.1", port=port, timeout=0.5).answer
            return None

        eventually(up)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def sent(port, key, *changes):
    """Send one update, each change (verb, owner, type, data), and return the name of the response code."""
    ring = dns.tsigkeyring.from_text({f"{key}.": SECRET})
    update = dns.update.UpdateMessage(ZONE, keyring=ring, keyname=f"{key}.", keyalgorithm="hmac-sha256")
    for verb, owner, *rest in changes:
        getattr(update, verb)(dns.name.from_text(owner, dns.name.from_text(ZONE)), *rest)
    answer = dns.query.udp(update, "127.0.0.1", port=port, timeout=30)
    return dns.rcode.to_text(answer.rcode())


@pytest.mark.parametrize("key", KEYS)
def test_a_key_may_write_the_same_as_in_bind(ours, bind, key):
    """Each name and type by itself; what may be added may be deleted."""
    changes = [("add", owner, 60, kind, data) for owner in OWNERS for kind, data in RECORD.items()]
    changes += [("delete", owner, kind) for owner in ("x", "a.x", "own") for kind in RECORD]

    assert [sent(ours, key, change) for change in changes] == [sent(bind, key, change) for change in changes]


@pytest.mark.parametrize("key", [key for key in KEYS if key not in ("typed", "deep.twin.example", "few")])
def test_a_whole_name_is_deleted_as_in_bind(ours, bind, key):
    """By keys for all types: with records of all types there, and with one that a denial keeps."""
    for owner, kinds in itertools.product(("x", "a.x", "*.x", "own"), (("A", "TXT"), ("A", "MX"))):
        for port in (ours, bind):
            changes = [("delete", owner), *(("add", owner, 60, kind, RECORD[kind]) for kind in kinds)]
            assert sent(port, "all", *changes) == "NOERROR"
        assert sent(ours, key, ("delete", owner)) == sent(bind, key, ("delete", owner)), (owner, kinds)


def test_what_is_beyond_a_number_is_skipped_by_bind_and_refused_by_us(ours, bind):
    """As the page about policy says; the record is in neither."""
    adds = [("add", "many", 60, "A", f"192.0.2.{last}") for last in (1, 2, 3)]

    codes = [sent(port, "few", *adds) for port in (bind, ours)]
    within = [sent(port, "few", *adds[:2]) for port in (bind, ours)]
    query = dns.message.make_query(f"many.{ZONE}", "A")
    left = [len(dns.query.udp(query, "127.0.0.1", port=port, timeout=30).answer[0]) for port in (bind, ours)]

    assert codes == ["NOERROR", "REFUSED"]
    assert within == ["NOERROR", "NOERROR"]
    assert left == [2, 2]
