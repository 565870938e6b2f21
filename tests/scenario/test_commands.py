"""The operator's commands, as processes: beside the running service and without it, with truthful exit statuses."""

import functools
import json
import os
import pty
import re
import subprocess
import sys

import dns.rcode
import pytest
from messages import KeyFile
from registry import keygen
from service import Service, eventually
from tools import need

from ddns.dns import names
from ddns.gateway.invitation import Invitation
from ddns.postgres import OWNER, running, socket_dsn

ZONE = "$TTL 300\n@ SOA ns1 hostmaster {serial} 7200 3600 1209600 300\n@ NS ns1\nns1 A 127.0.0.1\n"


@pytest.fixture(scope="module")
def service():
    """A running service with one zone, `homes.example`."""
    running_service = Service("--workers", "1")
    try:
        running_service.ddns("zone", "add", "homes.example")
        running_service.start()
        yield running_service
        running_service.stop()
    finally:
        if running_service.process is not None and running_service.process.poll() is None:
            running_service.process.kill()
        running_service.remove()


@pytest.fixture
def alone():
    """A folder of its own with no service."""
    one = Service()
    yield one
    one.remove()


def zone_file(service, name, more="", serial=1):
    path = service.folder / f"{name}zone"
    path.write_text(ZONE.format(serial=serial) + more)
    return path


def nsupdate(service, key_file, zone, *lines):
    script = "\n".join([f"server 127.0.0.1 {service.port}", f"zone {zone}", *lines, "send", ""])
    done = subprocess.run(
        [need("nsupdate"), "-t", "40", "-k", key_file], input=script, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


# -- without a service ------------------------------------------------------------------------------------------


def test_a_zone_is_signed_as_soon_as_it_is_added(alone):
    added = alone.ddns("zone", "add", "one.example")
    ds = alone.ddns("zone", "ds", "one.example")

    assert "signed (nsec3)" in added
    assert re.fullmatch(r"one\.example\. IN DS \d+ 13 2 [0-9a-f]{64}\n", ds)
    assert ds.strip() in added
    assert "All is well." in alone.ddns("zone", "check", "one.example")
    assert not any(alone.state.glob("pg/run/*.PGSQL*"))


@pytest.mark.parametrize("denial", ["nsec3", "nsec"])
def test_what_is_exported_other_servers_tools_verify(alone, denial):
    file = zone_file(alone, "two.example.", 'www TXT "a;b" \\200\n*.w A 192.0.2.1\ncut NS ns.cut\nns.cut A 192.0.2.2\n')
    alone.ddns("zone", "import", file, "--origin", "two.example", "--denial", denial, "--algorithm", "15")

    signed = alone.export("two.example")
    plain = alone.folder / "plain.zone"
    plain.write_text(alone.ddns("zone", "export", "two.example"))

    for command in (
        [need("named-checkzone"), "-q", "two.example", signed],
        [need("named-checkzone"), "-q", "two.example", plain],
        [need("kzonecheck"), "-d", "on", "-o", "two.example", signed],
        [need("ldns-verify-zone"), signed],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout + done.stderr)
    assert "nothing to change" in alone.ddns("zone", "import", plain, "--origin", "two.example").lower()


def test_settings_are_checked_and_shown_without_a_database(alone):
    good, bad = alone.folder / "good.toml", alone.folder / "bad.toml"
    good.write_text('[serve]\nworkers = 3\n[database]\ndsn = "host=db password=hunter2 user=x"\n')
    bad.write_text("[serve]\nwokers = 3\n")

    assert alone.ddns("config", "check", good) == f"{good} is good.\n"
    assert "did you mean workers?" in alone.ddns("config", "check", bad, status=1)
    shown = alone.ddns("config", "show", "--config", good)
    assert "workers = 3" in shown
    assert "hunter2" not in shown
    assert json.loads(alone.ddns("config", "show", "--json"))["tcp"]["clients"] == 500
    assert not alone.state.exists()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["zone"], 2, "Usage"),
        (["zone", "frob"], 2, "No such command 'frob'"),
        (["zone", "add"], 2, "Missing argument"),
        (["zone", "import", "x.zone"], 2, "--origin"),
        (["zone", "add", "a..b"], 1, "empty label"),
        (["zone", "add", "x.example", "--denial", "black"], 1, "choose nsec3, nsec, compact or none"),
        (["zone", "add", "x.example", "--address", "here"], 1, "is no address"),
        (["zone", "import", "/nowhere", "--origin", "x.example"], 1, "/nowhere"),
        (["zone", "show", "x.example"], 1, "no zone x.example."),
        (["key", "add", "k.example", "--sig0", "/nowhere"], 1, "/nowhere"),
        (["key", "add", "k.example", "--sig0", "x", "--secret", "y"], 2, "give it alone"),
        (["key", "add", "k.example", "--algorithm", "hmac-md5"], 1, "choose hmac-sha1"),
        (["grant", "add", "k.example", "x.example"], 1, "no zone x.example."),
        (["home", "invite", "_smith"], 1, "begins with _"),
        (["apply", "/nowhere.toml"], 1, "/nowhere.toml"),
        (["config", "check"], 2, "which file"),
        (["zone", "list", "--dsn", "host=/nowhere"], 1, "/nowhere"),
    ],
)
def test_a_failure_is_one_sentence_and_a_truthful_status(service, words, status, says):
    done = subprocess.run(
        [sys.executable, "-m", "ddns.cli", *words],
        env=service.environment(), cwd=service.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == status
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if says != "Usage":
        assert done.stderr.startswith("ddns: ")
        assert done.stderr.count("\n") == 1


def test_a_terminal_gets_its_columns_aligned(service):
    try:
        parent, child = pty.openpty()
    except OSError as error:
        pytest.skip(f"this machine has no terminal to lend: {error}")
    with os.fdopen(child, "wb") as terminal:
        subprocess.run(
            [sys.executable, "-m", "ddns.cli", "zone", "list"], env=service.environment(), stdout=terminal, check=True
        )
    printed = re.sub(r"\x1b\[[0-9;]*m", "", os.read(parent, 65536).decode())
    os.close(parent)

    head, *rows = printed.splitlines()
    assert all(row.index("nsec3") == head.index("DENIAL") for row in rows if "nsec3" in row)


# -- beside the service -----------------------------------------------------------------------------------------


def test_an_imported_zone_is_served_signed_when_the_command_returns(service):
    file = zone_file(service, "three.example.", "www A 192.0.2.1\n", serial=40)

    done = json.loads(service.ddns("zone", "import", file, "--origin", "three.example", "--json"))

    assert (done["state"], done["published"]) == ("added", True)
    eventually(lambda: service.signed("three.example"))
    assert service.values("www.three.example", "A") == ["192.0.2.1"]
    assert service.serial("three.example") == 40


def test_an_import_of_a_zone_that_exists_replaces_it(service):
    service.ddns("zone", "import", zone_file(service, "four.example.", "old A 192.0.2.1\n"), "--origin", "four.example")
    eventually(lambda: service.values("old.four.example", "A"))

    service.ddns("zone", "import", zone_file(service, "four.example.", "new A 192.0.2.1\n"), "--origin", "four.example")

    eventually(lambda: service.values("new.four.example", "A"))
    assert service.ask("old.four.example", "A").rcode() == dns.rcode.NXDOMAIN
    assert service.serial("four.example") == 2


def test_a_zone_with_an_error_changes_nothing_and_names_the_line(service):
    before = service.serial("homes.example")
    bad = zone_file(service, "bad.", "www A 192.0.2.300\n", serial=99)

    said = service.ddns("zone", "import", bad, "--origin", "homes.example", status=1)

    assert f"{bad}, line 5: 192.0.2.300 is not data of type A; write it like 192.0.2.1" in said
    assert service.serial("homes.example") == before


def test_a_zone_signed_elsewhere_is_served_with_its_own_signatures(service):
    plain = zone_file(service, "five.example.", "www A 192.0.2.1\n")
    run = functools.partial(subprocess.run, check=True, capture_output=True, text=True, cwd=service.folder)
    key = run([need("dnssec-keygen"), "-a", "13", "-f", "KSK", "five.example"]).stdout.strip()
    signed = service.folder / "five.signed"
    run([need("dnssec-signzone"), "-z", "-S", "-o", "five.example", "-f", signed, "-k", key, plain])

    service.ddns("zone", "import", signed, "--origin", "five.example", "--denial", "none")

    eventually(lambda: service.values("www.five.example", "A"))
    exported = service.export("five.example")
    verified = subprocess.run([need("ldns-verify-zone"), exported], capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert service.signed("five.example")
    assert "of an earlier signing" in subprocess.run(
        [sys.executable, "-m", "ddns.cli", "zone", "import", signed, "--origin", "five.example", "--denial", "nsec3"],
        env=service.environment(), capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip


def test_a_new_keys_file_works_with_nsupdate_until_it_is_revoked(service):
    printed = service.ddns("key", "add", "k1.example")
    file = service.folder / "k1.key"
    file.write_text(re.search(r'key "k1\.example\." \{.*?\};\n', printed, re.DOTALL)[0])
    add = "update add t1.homes.example 60 TXT x"

    refused, _ = nsupdate(service, file, "homes.example", add)
    service.ddns("grant", "add", "k1.example", "homes.example", "--types", "TXT")
    status, said = nsupdate(service, file, "homes.example", add)
    other, _ = nsupdate(service, file, "homes.example", "update add t1.homes.example 60 A 192.0.2.1")
    service.ddns("key", "revoke", "k1.example")
    revoked, word = nsupdate(service, file, "homes.example", "update add t2.homes.example 60 TXT x")

    assert (status, said) == (0, "")
    assert refused
    assert other
    assert revoked
    assert "BADKEY" in word
    assert service.values("t1.homes.example", "TXT") == ['"x"']
    assert service.values("t2.homes.example", "TXT") == []


def test_secrets_are_shown_by_nothing_but_the_command_that_makes_them(service):
    made = json.loads(service.ddns("key", "add", "k2.example", "--algorithm", "hmac-sha512", "--json"))
    given = "c2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzISEhISE="
    service.ddns("key", "add", "k3.example", "--secret", "-", text=given)

    listed = service.ddns("key", "list") + service.ddns("key", "list", "--json", "--revoked")

    assert "k2.example." in listed
    assert made["secret"] not in listed
    assert given not in listed
    assert {one["key"]: one["algorithm"] for one in json.loads(service.ddns("key", "list", "--json"))}[
        "k3.example."
    ] == "hmac-sha256"


def test_grants_are_listed_and_taken_back(service):
    service.ddns("key", "add", "k4.example")
    service.ddns("grant", "add", "k4.example", "homes.example", "--name", "x.homes.example", "--types", "A,AAAA")

    listed = json.loads(service.ddns("grant", "list", "homes.example", "--json"))
    (listed_one,) = [one for one in listed if one["key"] == "k4.example."]
    assert (
        listed_one.items()
        >= {
            "zone": "homes.example.",
            "rule": "subdomain",
            "name": "x.homes.example.",
            "types": ["A", "AAAA"],
        }.items()
    )
    assert "1 grant" in service.ddns("grant", "remove", "k4.example", "homes.example")
    assert "k4.example." not in service.ddns("grant", "list")


def test_an_invitation_is_a_line_that_a_gateway_reads(service):
    printed = service.ddns("home", "invite", "baker.homes.example", "--server", f"127.0.0.1:{service.port}")

    invitation = Invitation.from_text(re.search(r"ddns://\S+", printed)[0])
    assert names.to_text(invitation.home) == "baker.homes.example."
    assert (invitation.host, invitation.port) == ("127.0.0.1", service.port)
    assert "invited" in service.ddns("home", "list")
    assert "invited already" in service.ddns("home", "invite", "baker.homes.example", status=1)
    again = json.loads(service.ddns("home", "invite", "baker.homes.example", "--again", "--json"))
    assert again["invitation"] not in printed
    assert Invitation.from_text(again["invitation"]).host == "ns1.homes.example"


def test_a_home_lives_is_suspended_released_and_removed(service):
    home = "smith.homes.example."
    key = keygen(service.folder, home, "ECDSAP256SHA256")
    assert isinstance(key, KeyFile)
    private = next(service.folder.glob(f"K{home}+*.private"))
    add = f"update add cam.{home} 60 A 192.0.2.80"

    service.ddns("home", "add", "smith.homes.example", "--sig0", private.with_suffix(".key"))
    eventually(lambda: service.signed(home))
    assert nsupdate(service, private, home, add) == (0, "")
    assert "secure" in service.ddns("zone", "check", home)
    service.ddns("home", "suspend", "smith")
    suspended = nsupdate(service, private, home, f"update delete cam.{home}")
    service.ddns("home", "release", home)
    released = nsupdate(service, private, home, f"update add cam2.{home} 60 A 192.0.2.81")

    assert suspended[0]
    assert "REFUSED" in suspended[1]
    assert released == (0, "")
    assert service.values(f"cam.{home}", "A") == ["192.0.2.80"]
    assert "tag" in service.ddns("home", "show", "smith")
    service.ddns("zone", "remove", home)
    eventually(lambda: service.ask(home, "SOA").rcode() == dns.rcode.NXDOMAIN)
    assert "All is well." in service.ddns("zone", "check", "homes.example")


def test_a_home_is_not_given_the_key_of_another(service):
    keygen(service.folder, "other.homes.example.", "ED25519")
    file = next(service.folder.glob("Kother.homes.example.+*.key"))

    said = service.ddns("home", "add", "miller", "--zone", "homes.example", "--sig0", file, status=1)

    assert "dnssec-keygen -T KEY -n HOST" in said
    assert "no zone" in service.ddns("zone", "show", "miller.homes.example", status=1)


def test_a_registry_file_is_applied_to_the_running_service_once(service):
    zone_file(service, "six.example.", "www A 192.0.2.1\n")
    text = (
        '[[key]]\nname = "k6."\nalgorithm = "hmac-sha256"\nsecret = "c2VjcmV0"\n'
        '[[zone]]\nname = "six.example."\nfile = "six.example.zone"\ngrants = [{ key = "k6." }]\n'
    )

    file = service.folder / "registry.toml"
    file.write_text(text)
    planned = service.ddns("apply", file, "--dry-run")
    first = service.apply(text)
    eventually(lambda: service.signed("six.example"))
    second = json.loads(service.ddns("apply", file, "--json"))

    assert "1 key to be added, 1 zone to be added, 1 grant to be added" in planned
    assert "+ zone  six.example." in first
    assert second["actions"] == []
    assert second["kept"] == {"key": 1, "zone": 1, "grant": 1}


def test_a_zone_is_signed_by_another_policy_and_by_none_that_is_not_there(service):
    zone_file(service, "policy.example.", "www A 192.0.2.1\n")
    file = service.folder / "policies.toml"
    file.write_text(
        '[[signing]]\nname = "pair"\nscheme = "ksk+zsk"\nzsk_lifetime = "60d"\nparent_servers = ["192.0.2.1"]\n'
        '[[zone]]\nname = "policy.example."\nfile = "policy.example.zone"\nsigning = "pair"\n'
    )
    first = service.ddns("apply", file)
    again = json.loads(service.ddns("apply", file, "--json"))
    keys = json.loads(service.signer("keys", "policy.example.", "--json"))
    said = service.ddns("signing", "set", "pair", "zsk_lifetime=30d", "cds=never")
    shown = json.loads(service.ddns("signing", "show", "pair", "--json"))
    listed = service.ddns("signing", "list")

    assert "1 signing policy added, 1 zone added, 1 zone changed." in first
    assert "~ zone  policy.example.  signed by pair, not by default" in first
    assert (again["actions"], again["kept"]) == ([], {"signing": 2, "zone": 1})
    assert sorted(key["role"] for key in keys) == ["ksk", "zsk"]
    assert "Changed the signing policy pair: zsk_lifetime 60d → 30d, cds rolls → never." in said
    assert (shown["zsk_lifetime"], shown["zones"], shown["some_zones"]) == (30 * 86400, 1, ["policy.example."])
    assert re.search(r"^pair +ksk\+zsk +zone +never, 30d +14d +sealed +1$", listed, re.MULTILINE)
    assert "so already" in service.ddns("signing", "set", "pair", "cds=never")
    assert "Signatures that are made from now on" in service.ddns("signing", "set", "pair", "validity=20d")
    assert "is signed by default from now on, and no longer by pair" in service.ddns(
        "signing", "use", "policy.example", "--default"
    )
    assert "is signed by default already" in service.ddns("signing", "use", "policy.example", "default")
    assert "192.0.2.1:53" in service.ddns("signing", "show", "pair")
    assert "Removed the signing policy pair." in service.ddns("signing", "remove", "pair")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["set", "Pair", "cds=never"], 1, "'Pair' is no name for a policy: write a small letter"),
        (["set", "home", "refresh=2d"], 1, "The signing policy home cannot be so. With a refresh of 2d"),
        (["set", "home"], 2, "Missing argument 'KEY=VALUE…'"),
        (["set", "home", "cds"], 1, "'cds' sets nothing; write KEY=VALUE"),
        (["show", "nobody"], 1, "There is no signing policy 'nobody'; `ddns signing list` shows those there are."),
        (["remove", "home"], 1, "The signing policy home is what zones have that have no other"),
        (["use", "nowhere.example", "home"], 1, "There is no zone nowhere.example. here"),
        (["use", "nowhere.example"], 2, "Give either the name of a policy or --default."),
    ],
)
def test_what_cannot_be_done_with_policies_is_one_sentence(service, words, status, says):
    said = service.ddns("signing", *words, status=status)

    assert says in said
    assert said.count("\n") == 1


def test_a_removed_zone_is_answered_no_more(service):
    service.ddns("zone", "import", zone_file(service, "seven.example."), "--origin", "seven.example")
    eventually(lambda: service.signed("seven.example"))

    service.ddns("zone", "remove", "seven.example")

    eventually(lambda: service.ask("seven.example", "SOA").rcode() == dns.rcode.REFUSED)
    assert "seven.example." not in service.ddns("zone", "list")


def test_without_a_signer_on_a_dsn_the_command_says_so_and_ends_well():
    away = Service("--workers", "1", "--no-signer")
    try:
        away.start()
        dsn = socket_dsn(running(away.state), OWNER)

        done = subprocess.run(
            [sys.executable, "-m", "ddns.cli", "zone", "add", "eight.example", "--dsn", dsn],
            env=away.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip

        assert done.returncode == 0
        assert "not signed yet" in done.stdout
        assert done.stderr.count("\n") == 1
        assert "`zone-signer run`" in done.stderr
        assert "pending" in away.ddns("zone", "show", "eight.example")
        assert "nothing is published yet" in away.ddns("zone", "check", "eight.example", status=1)
        assert "has no keys yet" in away.ddns("zone", "ds", "eight.example", status=1)
        away.stop()
    finally:
        if away.process is not None and away.process.poll() is None:
            away.process.kill()
        away.remove()
