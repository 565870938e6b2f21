"""Registrations (RFC 9665) on a real database: hosts with keys of their own, first come first served."""

from __future__ import annotations

import craft
import dns.name
import leasing
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from leasing import Home, granted, host, service
from waiting import wait_for

from ddns.auth import keys, sig0
from ddns.auth.principal import Grant
from ddns.dns.asker import Transport
from ddns.dns.codes import Rcode
from ddns.operator import services
from ddns.operator.fault import CannotDo
from ddns.store import credentials, grants, journal

ONE = ec.derive_private_key(11, ec.SECP256R1())
TWO = ec.derive_private_key(12, ec.SECP256R1())
PRINTER = [*host("pi", ONE, "192.0.2.7", "2001:db8::7"), *service("lp", "_ipp._tcp", "pi", subtypes=("_color",))]


@pytest.fixture
def make(dsn_for, owner, tmp_path):
    made = []

    async def begin(*lines, services_from=(leasing.NETWORK,)):
        home = Home(dsn_for("ddns_server"), owner, tmp_path)
        made.append(home)
        return await home.begin(*lines, services_from=services_from)

    yield begin
    for home in made:
        wait_for(home.server.close())


def kinds(lines: set[str]) -> set[tuple[str, str]]:
    """Return owner and type of records."""
    return {(line.split()[0], line.split()[2]) for line in lines}


ALL = {
    ("pi", "A"),
    ("pi", "AAAA"),
    ("pi", "KEY"),
    ("lp._ipp._tcp", "SRV"),
    ("lp._ipp._tcp", "TXT"),
    ("lp._ipp._tcp", "KEY"),
    ("_ipp._tcp", "PTR"),
    ("_color._sub._ipp._tcp", "PTR"),
}
NAMES = {("pi", "KEY"), ("lp._ipp._tcp", "KEY")}


async def test_a_host_registers_itself_and_its_service_with_its_own_key(make):
    """Everything in one edition; the instance gets the key too; the journal names the host."""
    home = await make()

    reply = await home.register(ONE, "pi", *PRINTER)

    assert reply.rcode() == Rcode.NOERROR
    assert granted(reply) == (7200, 1209600)
    assert kinds(await home.content()) == ALL
    assert await home.is_published()
    (entry,) = await journal.since(home.admin, home.zone, 1, 10)
    assert entry.principal == "srp:pi.smith.example."


async def test_a_renewal_changes_nothing_and_lasts_longer(make):
    home = await make()
    await home.register(ONE, "pi", *PRINTER)
    before = await home.row()
    await home.passes(7000)

    reply = await home.register(ONE, "pi", *PRINTER)

    assert reply.rcode() == Rcode.NOERROR
    assert await home.row() == before
    assert await home.passes(7000) == 0


async def test_host_services_and_pointers_end_together_and_names_stay_reserved(make):
    home = await make()
    await home.register(ONE, "pi", *PRINTER)
    await home.register(ONE, "pi", *host("pi", ONE, "192.0.2.7", "2001:db8::7"), leased=(600, 1209600))

    await home.passes(601)
    left = kinds(await home.content())
    theirs = await home.register(TWO, "pi", *host("pi", TWO, "192.0.2.8"))
    back = await home.register(ONE, "pi", *PRINTER)

    assert left == NAMES
    assert theirs.rcode() == Rcode.YXDOMAIN
    assert back.rcode() == Rcode.NOERROR
    assert kinds(await home.content()) == ALL


async def test_what_a_shorter_lease_of_the_host_ends_has_no_longer_ttl(make):
    """Also the records that the host did not name again."""
    home = await make()
    await home.register(ONE, "pi", *host("pi", ONE, "192.0.2.7", ttl=3600), *service("lp", "_ipp._tcp", "pi", ttl=3600))

    await home.register(ONE, "pi", *host("pi", ONE, "192.0.2.7"), leased=(600, 1209600))

    ttls = {line.split()[1] for line in await home.content() if " KEY " not in line}
    assert ttls == {"120", "600"}
    assert await home.is_published()


async def test_when_the_key_lease_ends_the_name_is_anybodys(make):
    home = await make()
    await home.register(ONE, "pi", *PRINTER)
    await home.passes(1209601)

    reply = await home.register(TWO, "pi", *host("pi", TWO, "192.0.2.8"))

    assert reply.rcode() == Rcode.NOERROR


@pytest.mark.parametrize(
    ("leased", "left"), [((0, 1209600), NAMES), ((0, 0), set())], ids=["the names stay", "the names go too"]
)
async def test_a_lease_of_zero_withdraws_the_host_with_all_that_it_registered(make, leased, left):
    """Also services that the withdrawal does not name (RFC 9665 §3.2.5.5.1), and nobody else's."""
    home = await make()
    await home.register(ONE, "pi", *PRINTER)
    await home.register(TWO, "other", *host("other", TWO, "192.0.2.9"), *service("lp2", "_ipp._tcp", "other"))

    reply = await home.register(ONE, "pi", *host("pi", ONE), leased=leased)

    assert reply.rcode() == Rcode.NOERROR
    assert granted(reply) == leased
    found = await home.content()
    assert {line for line in kinds(found) if line[0] in ("pi", "lp._ipp._tcp")} == left
    assert [line for line in found if " PTR " in line] == ["_ipp._tcp 120 PTR lp2._ipp._tcp.smith.example."]
    assert await home.is_published()


async def test_one_service_is_removed_and_its_name_stays(make):
    """Delete the instance, and its pointers go along, named or not (RFC 9665 §3.2.5.5.2)."""
    home = await make()
    await home.register(ONE, "pi", *PRINTER, *service("web", "_http._tcp", "pi"))

    reply = await home.register(
        ONE,
        "pi",
        craft.delete_record("_ipp._tcp", "PTR", "lp._ipp._tcp"),
        craft.delete("lp._ipp._tcp"),
        *host("pi", ONE, "192.0.2.7"),
    )

    assert reply.rcode() == Rcode.NOERROR
    left = kinds(await home.content())
    assert ("lp._ipp._tcp", "KEY") in left
    assert not left & {("_ipp._tcp", "PTR"), ("_color._sub._ipp._tcp", "PTR"), ("lp._ipp._tcp", "SRV")}
    assert {("web._http._tcp", "SRV"), ("pi", "A")} <= left
    assert ("pi", "AAAA") not in left


async def test_a_name_that_the_owner_wrote_is_taken(make):
    """And so is an instance."""
    home = await make("nas 300 A 192.0.2.1", "lp._ipp._tcp 300 TXT owner")

    replies = [
        await home.register(ONE, "nas", *host("nas", ONE, "192.0.2.7")),
        await home.register(ONE, "pi", *PRINTER),
    ]

    assert [reply.rcode() for reply in replies] == [Rcode.YXDOMAIN] * 2


async def test_what_the_owner_writes_at_a_hosts_name_is_the_owners(make):
    """From then on the host does not delete it, though the key that is there is its own."""
    home = await make()
    await home.register(ONE, "pi", *PRINTER)
    await home.update(craft.add("pi", 300, "TXT", "ours"))

    reply = await home.register(ONE, "pi", *PRINTER)

    assert reply.rcode() == Rcode.YXDOMAIN
    assert 'pi 300 TXT "ours"' in await home.content()


async def test_a_key_that_the_owner_put_at_a_name_keeps_it_for_its_host(make):
    home = await make()
    await home.update(craft.rr("pi", "KEY", craft.IN, 120, keys.key_rdata(ONE, 0)))

    theirs = await home.register(TWO, "pi", *host("pi", TWO, "192.0.2.8"))
    ours = await home.register(ONE, "pi", *host("pi", ONE, "192.0.2.7"))

    assert (theirs.rcode(), ours.rcode()) == (Rcode.YXDOMAIN, Rcode.NOERROR)


async def test_denials_bind_hosts_too(make, owner):
    """What the registry denies to everybody, and what it gives only to keys that somebody vouched for."""
    home = await make()
    await grants.insert_all(owner, [(None, Grant(home.zone, craft.name("pi"), frozenset({28}), denied="no IPv6"))])

    denied = await home.register(ONE, "pi", *PRINTER)
    other = await home.register(TWO, "po", *host("po", TWO, "2001:db8::1"))

    assert (denied.rcode(), other.rcode()) == (Rcode.REFUSED, Rcode.NOERROR)


@pytest.mark.parametrize("name", ["www", "mail", "ns", "smtp", "_x", "wpad"])
async def test_reserved_names_are_given_to_nobody(make, name):
    home = await make()

    assert (await home.register(ONE, name, *host(name, ONE, "192.0.2.7"))).rcode() == Rcode.REFUSED


async def test_differing_ttls_in_an_rrset_are_refused(make):
    home = await make()
    operations = [*host("pi", ONE, "192.0.2.7"), craft.add("pi", 60, "A", "192.0.2.8")]

    assert (await home.register(ONE, "pi", *operations)).rcode() == Rcode.REFUSED


async def test_a_signature_by_another_key_is_refused(make):
    """REFUSED, as RFC 9665 §3.3.3 has it, and nothing is changed."""
    home = await make()

    reply = await home.register(TWO, "pi", *PRINTER)

    assert reply.rcode() == Rcode.REFUSED
    assert await home.content() == set()


async def test_a_changed_octet_is_a_wrong_signature(make):
    home = await make()
    octets = bytearray(home.registration(ONE, "pi", *PRINTER))
    octets[octets.index(bytes((192, 0, 2, 7)))] = 193

    (reply,) = await home.server.send(bytes(octets))

    assert reply.rcode() == Rcode.REFUSED


async def test_a_home_that_is_not_open_knows_no_such_key(make):
    """Off unless its owner says otherwise; the answer does not tell that it could be."""
    home = await make(services_from=())

    assert (await home.register(ONE, "pi", *PRINTER)).rcode() in (Rcode.BADKEY, Rcode.NOTAUTH)


async def test_hosts_come_from_the_owners_networks_only(make):
    home = await make()

    assert (await home.register(ONE, "pi", *PRINTER, source="198.51.100.1")).rcode() == Rcode.REFUSED


async def test_a_sender_that_is_not_proved_to_be_there_does_not_get_as_far(make):
    """A datagram without a cookie."""
    home = await make()

    reply = await home.register(ONE, "pi", *PRINTER, transport=Transport.UDP)

    assert reply.rcode() in (Rcode.BADKEY, Rcode.NOTAUTH)
    assert await home.content() == set()


async def test_a_datagram_with_a_cookie_and_a_connection_are_as_good(make):
    """RFC 9665 §6's hosts may be too small for TCP."""
    home = await make()

    replies = [
        await home.register(ONE, "pi", *PRINTER, transport=Transport.UDP, verified=True),
        await home.register(TWO, "po", *host("po", TWO, "192.0.2.8"), transport=Transport.TLS),
    ]

    assert {reply.rcode() for reply in replies} == {Rcode.NOERROR}


async def test_when_the_home_is_closed_nobody_registers_and_what_is_there_ends(make):
    home = await make()
    await home.register(ONE, "pi", *PRINTER)

    await services.allow(home.admin, craft.ORIGIN, ())
    reply = await home.register(ONE, "pi", *PRINTER)

    assert reply.rcode() == Rcode.REFUSED  # this worker remembers the policy; the commit asks again
    await home.passes(1209601)
    assert await home.content() == set()


async def test_a_replay_of_a_registration_changes_nothing(make):
    home = await make()
    old = home.registration(ONE, "pi", *PRINTER)
    await home.server.send(old)
    await home.register(ONE, "pi", *host("pi", ONE), leased=(0, 0))

    (reply,) = await home.server.send(old)

    assert reply.rcode() == Rcode.NOERROR
    assert await home.content() == set()


async def test_a_compressed_srv_target_is_read(make):
    """RFC 9665 §3.3.1.2's senders may compress it, whatever RFC 2782 says."""
    home = await make()
    target = dns.name.from_text("pi.smith.example.").to_wire()
    plain = craft.add("lp._ipp._tcp", 120, "SRV", "0 0 80 pi")
    pointer = (0xC000 | 12).to_bytes(2, "big")
    squeezed = plain[: -len(target) - 8] + (6 + 3 + 2).to_bytes(2, "big") + plain[-len(target) - 6 : -len(target)]
    operations = [*PRINTER]
    operations[operations.index(plain)] = squeezed + b"\2pi" + pointer

    reply = await home.register(ONE, "pi", *operations)

    assert reply.rcode() == Rcode.NOERROR
    assert "lp._ipp._tcp 120 SRV 0 0 80 pi.smith.example." in await home.content()


NOT_REGISTRATIONS = {
    "two hosts": [*host("pi", ONE, "192.0.2.7"), *host("po", ONE, "192.0.2.7")],
    "no key": [craft.delete("pi"), craft.add("pi", 120, "A", "192.0.2.7")],
    "nothing cleared": host("pi", ONE, "192.0.2.7")[1:],
    "another type": [*host("pi", ONE, "192.0.2.7"), craft.add("pi", 120, "TXT", "x")],
    "another's host": [*host("pi", ONE, "192.0.2.7"), *service("lp", "_ipp._tcp", "po")],
    "no description": [*host("pi", ONE, "192.0.2.7"), craft.add("_ipp._tcp", 120, "PTR", "lp._ipp._tcp")],
    "a pointer elsewhere": [*PRINTER, craft.add("_http._tcp", 120, "PTR", "lp._ipp._tcp")],
    "an RRset deleted": [*PRINTER, craft.delete("nas", "A")],
    "a service outside of its type": [*host("pi", ONE), *service("lp", "ipp.tcp", "pi")],
    "an instance for all": [*host("pi", ONE), *service("*", "_ipp._tcp", "pi")],
    "the domain's own services": [*host("pi", ONE), *service("lb", "_dns-sd._udp", "pi")],
    "two labels": host("a.pi", ONE, "192.0.2.7"),
}


@pytest.mark.parametrize("operations", NOT_REGISTRATIONS.values(), ids=NOT_REGISTRATIONS)
async def test_what_is_not_shaped_like_a_registration_is_a_strangers_update(make, operations):
    """RFC 9665 §3.3.1: it is none, so its key is unknown and nothing of it is done."""
    home = await make()
    signer = "a.pi" if operations is NOT_REGISTRATIONS["two labels"] else "pi"

    reply = await home.register(ONE, signer, *operations)

    assert reply.rcode() in (Rcode.BADKEY, Rcode.NOTAUTH)
    assert await home.content() == set()


async def test_with_prerequisites_or_a_key_lease_below_the_lease_it_is_none_either(make):
    home = await make()
    needs = home.message(*PRINTER, opt=leasing.lease(7200, 7200), needs=[craft.absent("pi")])
    signed = sig0.sign_request(needs, ONE, craft.name("pi"), int(home.server.now), flags=0)

    replies = await home.server.send(signed, home.registration(ONE, "pi", *PRINTER, leased=(7200, 600)))

    assert {reply.rcode() for reply in replies} <= {Rcode.BADKEY, Rcode.NOTAUTH}
    assert await home.content() == set()


async def test_ed25519_keys_and_flags_of_hosts_are_taken_too(make):
    home = await make()
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    octets = home.registration(key, "pi", *host("pi", key, "192.0.2.7", flags=512), flags=512)

    (reply,) = await home.server.send(octets)

    assert reply.rcode() == Rcode.NOERROR


async def test_strangers_signatures_are_rationed_though_they_are_good(make):
    """Whoever makes keys can sign well: no refund (CVE-2024-1975)."""
    home = await make()
    messages = []
    for number in range(100):
        key = ec.derive_private_key(100 + number, ec.SECP256R1())
        messages.append(home.registration(key, f"h{number}", *host(f"h{number}", key, "192.0.2.7")))

    replies = await home.server.send(*messages)

    done = [reply.rcode() for reply in replies].count(Rcode.NOERROR)
    assert 0 < done < 100


async def test_a_flood_of_hosts_leaves_the_gateway_behind_the_same_address_alone(make, owner):
    """They are paid for from other purses."""
    home = await make()
    public = keys.key_rdata(TWO)
    await credentials.insert(owner, craft.ORIGIN, "sig0", "13", tag=keys.key_tag(public), public=public, home=home.zone)
    messages = []
    for number in range(150):
        key = ec.derive_private_key(100 + number, ec.SECP256R1())
        messages.append(home.registration(key, f"h{number}", *host(f"h{number}", key, "192.0.2.7")))
    await home.server.send(*messages)
    message = home.message(craft.add("cam", 300, "A", "192.0.2.1"))

    (reply,) = await home.server.send(sig0.sign_request(message, TWO, craft.ORIGIN, int(home.server.now)))

    assert reply.rcode() == Rcode.NOERROR


async def test_without_the_option_a_registration_gets_the_registrys_defaults(make):
    home = await make()

    reply = await home.register(ONE, "pi", *PRINTER, leased=None)
    await home.passes(7201)

    assert (reply.rcode(), granted(reply)) == (Rcode.NOERROR, None)
    assert kinds(await home.content()) == NAMES


async def test_one_zone_takes_so_many_registered_records_and_no_more(make, monkeypatch):
    """Who is there can renew."""
    monkeypatch.setattr("ddns.homes.leases.MOST_REGISTERED", 5)
    home = await make()
    await home.register(ONE, "pi", *PRINTER)

    other = await home.register(TWO, "po", *host("po", TWO, "192.0.2.8"))
    again = await home.register(ONE, "pi", *PRINTER)

    assert (other.rcode(), again.rcode()) == (Rcode.REFUSED, Rcode.NOERROR)


async def test_the_owners_networks_are_read_replaced_and_taken_back(make, owner):
    """In their usual spelling, each once; what is no network is said."""
    home = await make(services_from=())
    with pytest.raises(CannotDo, match="is no network"):
        services.read_networks(["192.0.2.0/24", "home"])
    wanted = services.read_networks(["192.0.2.7/24", "192.0.2.0/24", "2001:db8::1/64"])

    changed = [await services.allow(owner, craft.ORIGIN, networks) for networks in (wanted, wanted, (), ())]

    assert wanted == ("192.0.2.0/24", "2001:db8::/64")
    assert changed == [True, False, True, False]
    with pytest.raises(CannotDo, match="no home"):
        await services.allow(owner, await plain(home), wanted)


async def plain(home: Home) -> bytes:
    """Add a zone that is no home's."""
    await leasing.zones.insert(home.admin, leasing.names.from_text("plain.example."), "none", 13)
    return leasing.names.from_text("plain.example.")
