"""`ddns gateway record` against the real service: what other people's tools make and read."""

import base64
import json

import pytest
from registry import run
from test_gateway import Home


@pytest.fixture
def home(registry, tmp_path, request):
    """An enrolled gateway with a home of this test's own."""
    label = "r" + "".join(filter(str.isalnum, request.node.name))[-24:].lower()
    made = Home(registry, tmp_path / "gateway", label)
    assert made("enrol", made.invitation)[0] == 0
    return made


def dig(home, name, rdtype):
    """Return the values that kdig finds."""
    found = run("kdig", "@127.0.0.1", "-p", home.registry.port, name, rdtype, "+short", "+tcp")
    return sorted(line.replace(" ", "").lower() for line in found.splitlines())


def test_ssh_finds_the_fingerprints_that_ssh_keygen_makes(home, tmp_path):
    """Two keys of one host in one update; the next key goes beside them."""
    keys = []
    for kind in ("ed25519", "ecdsa"):
        path = tmp_path / f"host_{kind}"
        run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path)
        keys.append(path.with_suffix(".pub"))

    first = home("record", "add", "cam", "--ssh", str(keys[0]))
    second = home("record", "add", "cam", "--ssh", str(keys[1]), "--ttl", "60")

    assert (first[0], second[0]) == (0, 0), first[1] + second[1]
    made = [line.split("SSHFP ")[1] for key in keys for line in run("ssh-keygen", "-r", "cam", "-f", key).splitlines()]
    assert dig(home, f"cam.{home.name}", "SSHFP") == sorted(one.replace(" ", "") for one in made if one[2] == "2")
    assert home.proved("cam", "SSHFP") == sorted(one for one in made if one[2] == "2")


def test_an_ipsec_key_is_published_and_taken_away_by_the_same_words(home, tmp_path):
    """RFC 4025, made by OpenSSL and read by another's tool."""
    private, public = tmp_path / "vpn.key", tmp_path / "vpn.pub"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", private)
    run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
    words = ["@", "--ipsec", str(public), "--via", "192.0.2.38", "--precedence", "5"]

    added = home("record", "add", *words)
    shown = dig(home, home.name, "IPSECKEY")
    leaked = home("record", "add", "@", "--ipsec", str(private))
    removed = home("record", "remove", *words)

    key = public.read_text().split("-----")[2].strip()
    assert added == (0, f"{home.name} IPSECKEY is published.")
    assert shown == [f"514192.0.2.38{base64.b64encode(base64.b64decode(key)[-32:]).decode()}".lower()]
    assert leaked[0] == 2
    assert "private key" in leaked[1]
    assert removed == (0, f"{home.name} IPSECKEY is published no more.")
    assert home.registry.values(home.name, "IPSECKEY") == []


def test_mail_keys_stand_at_the_persons_name_and_may_be_long(home, tmp_path):
    """What does not fit into a datagram goes by TCP."""
    cert, pgp = tmp_path / "anna.pem", tmp_path / "anna.pgp"
    words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Anna", "-keyout", tmp_path / "k", "-out", cert]
    run("openssl", "req", *words)
    pgp.write_bytes(b"\x99\x0f\xa0" + bytes(4000))
    address = f"anna@{home.name.rstrip('.')}"

    status, said = home("record", "add", "@", "--smime", str(cert), address, "--openpgp", str(pgp), address)

    assert status == 0, said
    listed = json.loads(home("status", "--json")[1])["records"]
    assert {one["record"]["type"] for one in listed} == {"OPENPGPKEY", "SMIMEA"}
    for one in listed:
        (value,) = home.registry.values(one["record"]["owner"], one["record"]["type"])
        assert "".join(value.split()) == "".join(one["record"]["data"].split())


def test_services_and_issuers_are_shown_and_removed_by_type(home):
    """Of one type all go that this gateway has added, and only those."""
    added = home(
        "record", "add", "cam", "--https", "1 . alpn=h2", "--caa", '0 issue ";"', "--svcb", "1 cam alpn=dot port=853"
    )
    shown = {rdtype: dig(home, f"cam.{home.name}", rdtype) for rdtype in ("HTTPS", "CAA", "SVCB")}
    before = home("status")
    removed = home("record", "remove", "cam", "--type", "https")
    again = home("record", "remove", "cam", "--type", "https")

    assert added[0] == 0, added[1]
    assert shown["HTTPS"] == ["1.alpn=h2"]
    assert shown["CAA"] == ['0issue";"']
    assert shown["SVCB"] == [f"1cam.{home.name}alpn=dotport=853"]
    assert before[0] == 0
    assert f"cam.{home.name} CAA  published" in before[1]
    assert removed[0] == 0
    assert home.registry.values(f"cam.{home.name}", "HTTPS") == []
    assert home.registry.values(f"cam.{home.name}", "CAA") == ['0 issue ";"']
    assert again[0] == 2
    assert "has added no HTTPS record" in again[1]


def test_what_the_registry_refuses_stays_wanted_and_is_said(home):
    """The exit status is the registry's, and so it is of `status` until it is done."""
    home.registry.ddns("home", "suspend", home.name)
    refused = home("record", "add", "cam", "--caa", '0 issue ";"')
    standing = home("status")
    home.registry.ddns("home", "release", home.name)
    done = home("record", "add", "cam", "--caa", '0 issue ";"')

    assert refused[0] == standing[0] == 3
    assert refused[1].endswith("[home-suspended]")
    assert "not published:" in standing[1]
    assert (done[0], home("status")[0]) == (0, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "cam"], "say which records"),
        (["add", "cam", "--https", "nonsense"], "is no HTTPS record"),
        (["add", "cam", "--ssh", "/nowhere"], "cannot be read"),
        (["add", "cam.elsewhere.example.", "--caa", '0 issue ";"'], "is not in"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage_and_leaves_no_trace(home, words, said):
    """Nothing is sent, and nothing is wanted from then on."""
    status, sentence = home("record", *words)

    assert status == 2
    assert said in sentence
    assert json.loads(home("status", "--json")[1])["records"] == []
