"""What the page /phone computes, by its own modules in node: the words are Python's, and Python judges the answers."""

import base64
import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from phone_page import Wrong, node

from ddns.gateway import paper_code
from ddns.homes import ownership
from ddns.proof import b64, dpp, jwe, jwk, jws, statements
from ddns.proof.bad import BadProof
from ddns.proof.dpp import DppUri
from ddns.web import page_routes

STATIC = Path(__file__).parents[2] / "ddns/web/static"
NO_POINT = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d03010703220002") + b"\xff" * 32
SAID = {"act": "leave", "aud": "homes.example.", "sub": "smith.homes.example.", "iat": 1, "exp": 2, "jti": "j" * 16}


@pytest.fixture(scope="module")
def page():
    with node() as one:
        yield one


def octets(value):
    return {"octets": b64.encode(value)}


def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("length", [0, 1, 2, 3, 31, 32, 65, 1000])
def test_base64url_is_pythons(page, length):
    value = bytes(index * 7 % 256 for index in range(length))

    assert page.call("octets.encode", octets(value)) == b64.encode(value)
    assert page.call("octets.decode", b64.encode(value)) == octets(value)


@pytest.mark.parametrize("text", ["A", "AB=", "A+/A", "AAB", "A B", "ä"])
def test_what_is_no_base64url_or_another_spelling_is_refused(page, text):
    """Both sides refuse the same texts: what is signed has one spelling."""
    with pytest.raises(Wrong):
        page.call("octets.decode", text)
    with pytest.raises(BadProof):
        b64.decode(text)


def test_a_thumbprint_is_that_of_rfc_7638_and_of_the_desk(page):
    for made in (key(), ed25519.Ed25519PrivateKey.generate()):
        public = jwk.of(made)

        assert page.call("jose.thumbprint", jwk.members(public)) == jwk.kid(public)


def test_what_the_page_signs_the_desk_takes(page):
    made = page("sign", said=SAID, count=1, typ=statements.TYP)

    signed = jws.read(made["text"].encode())
    said = statements.read(signed)

    assert (said.act, said.sub) == ("leave", SAID["sub"])
    assert [jwk.members(one) for one in statements.signers(said, signed)] == made["keys"]
    assert signed.signatures[0].typ == statements.TYP


def test_the_page_signs_as_the_second_over_the_same_octets(page):
    """The gateway's signature stays the first, an invitation's the last."""
    gateway = key()
    wish = statements.Enrol(aud="homes.example.", iat=1, exp=2, jti="j" * 16, method="invitation")
    before = statements.sign(wish, gateway, ("invite.homes.example.", b"secret"))

    made = page("beside", text=before.decode())
    signed = jws.read(made["text"].encode())

    assert signed.payload == jws.read(before).payload
    assert [one.alg for one in signed.signatures] == ["ES256", "ES256", "HS256"]
    assert statements.signers(wish, signed) == (jwk.of(gateway), jwk.from_members(made["key"]))
    assert jws.verify_mac(signed, 2, b"secret")


def test_the_page_verifies_what_python_signs_by_either_curve(page):
    for make in (key, ed25519.Ed25519PrivateKey.generate):
        mine, other = make(), make()
        text = jws.sign(json.dumps(SAID).encode(), [jws.shown(mine)]).decode()

        assert page("verify", text=text, index=0, key=jwk.members(jwk.of(mine)))
        assert not page("verify", text=text, index=0, key=jwk.members(jwk.of(other)))


@pytest.mark.parametrize("change", [{"crit": ["b64"]}, {"b64": False}, {"alg": "none"}, {"jku": "https://a.example"}])
def test_a_header_that_changes_what_is_meant_is_not_verified(page, change):
    made = key()
    header, private = jws.shown(made)
    payload = json.dumps(SAID).encode()
    members = json.loads(jws.sign(payload, [(header, private)]))
    said = json.loads(b64.decode(members["signatures"][0]["protected"])) | change
    members["signatures"][0]["protected"] = b64.encode(json.dumps(said).encode())

    assert not page("verify", text=json.dumps(members), index=0, key=jwk.members(jwk.of(made)))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"payload":"e30","signatures":[]}', "x" * 70_000])
def test_what_is_no_signed_message_is_told(page, text):
    with pytest.raises(Wrong, match="signed message"):
        page.call("jose.read", text)


def test_what_the_page_seals_only_the_box_reads(page):
    box = key()

    sealed = page.call("jose.seal", octets(b"whose?"), jwk.members(jwk.of(box)))

    assert jwe.unseal(sealed, box) == b"whose?"
    with pytest.raises(BadProof):
        jwe.unseal(sealed, key())


@pytest.mark.parametrize("form", ["compressed", "uncompressed"])
def test_a_code_is_read_as_python_writes_it(page, form):
    """Points of either parity, compressed or not."""
    for _ in range(8):
        box = key()
        public = dpp.key_of(box.public_key())
        if form == "uncompressed":
            public = box.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        text = f"DPP:I:box 7;K:{base64.b64encode(public).decode()};;"

        found = page.call("dpp.read", text)

        assert found == {"key": jwk.members(jwk.of(dpp.read(text).public_key)), "information": "box 7"}
        assert found["key"] == jwk.members(jwk.of(box))


def _code():
    return dpp.write(DppUri(dpp.key_of(key().public_key())))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda code: "",
        lambda code: code[4:],
        lambda code: code.rstrip(";"),
        lambda code: "DPP:I:x;;",
        lambda code: code.replace(";;", ";K:AA;;"),
        lambda code: code.replace("K:", "K:*"),
        lambda code: code.replace("K:", "k:"),
        lambda code: "DPP:K:AAAA;;",
        lambda code: "DPP:" + "I:" + "x" * 2000 + ";;",
        lambda code: f"DPP:K:{base64.b64encode(NO_POINT).decode()};;",
    ],
    ids=[
        "nothing",
        "no scheme",
        "no end",
        "no key",
        "two keys",
        "no base64",
        "small letter",
        "no SPKI",
        "long",
        "no point",
    ],
)
def test_what_is_no_code_is_refused_by_both(page, spoil):
    text = spoil(_code())

    with pytest.raises(Wrong):
        page.call("dpp.read", text)
    with pytest.raises(BadProof):
        dpp.read(text)


def test_a_recovery_code_makes_the_same_key_here_and_there(page):
    """What the page shows, `ddns phone` reads; and the other way."""
    for seed in (bytes(16), b"\xff" * 16, bytes(range(16))):
        text = page.call("paper.write", octets(seed))

        assert text == paper_code.write(seed)
        assert paper_code.read(text.lower().replace("-", " ")) == seed
        assert page.call("paper.read", text.lower().replace("-", " ")) == octets(seed)
        made = page("paper", code=text, said=SAID)
        assert not made["readable"]
        assert made["key"] == jwk.members(jwk.of(paper_code.key_of(seed)))
        assert statements.signers(statements.read(jws.read(made["text"].encode())), jws.read(made["text"].encode()))


def test_a_slip_of_the_pen_is_seen_by_both(page):
    """Every letter of it; but O and 0, and I, L and 1, are the same."""
    text = paper_code.write(bytes(range(16)))
    plain = text.replace("-", "")
    for place, letter in enumerate(plain):
        wrong = plain[:place] + ("7" if letter != "7" else "8") + plain[place + 1 :]
        with pytest.raises(Wrong, match="slip"):
            page.call("paper.read", wrong)
        with pytest.raises(ValueError, match="slip"):
            paper_code.read(wrong)
    alike = text.replace("0", "O").replace("1", "l")
    assert page.call("paper.read", alike) == octets(bytes(range(16)))
    assert paper_code.read(alike) == bytes(range(16))


def test_keys_of_the_private_numbers_at_the_ends(page):
    """The arithmetic of the curve, against the library's, where it could go wrong."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for secret in (1, 2, 3, 2**128, order - 1, order - 2):
        wanted = jwk.members(jwk.of(ec.derive_private_key(secret, ec.SECP256R1())))

        assert page("point", secret=str(secret)) == wanted
    for secret in (0, order):
        with pytest.raises(Wrong):
            page("point", secret=str(secret))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("192.168.1.1", "http://192.168.1.1:8080/nameplate"),
        ("box.local:81", "http://box.local:81/nameplate"),
        ("http://[fe80::1]:8080/", "http://[fe80::1]:8080/nameplate"),
        (" 10.0.0.1:8080 ", "http://10.0.0.1:8080/nameplate"),
        ("https://a.example", None),
        ("javascript:alert(1)", None),
        ("a.example/x", None),
        ("a@b", None),
        ("a:70000", None),
        ("", None),
    ],
    ids=["address", "port", "ipv6", "space", "https", "script", "path", "user", "great port", "nothing"],
)
def test_a_box_is_where_somebody_says_and_nowhere_else(page, given, wanted):
    if wanted is None:
        with pytest.raises(Wrong, match="where the box is"):
            page.call("box.doorOf", given)
    else:
        assert page.call("box.doorOf", given) == wanted


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example/x",
        "http://dns.example/phone",
        "javascript:alert(1)//phone",
        "//a/phone",
        "https://a/phone#x",
        "",
    ],
    ids=["path", "plain", "script", "no scheme", "fragment", "nothing"],
)
def test_a_box_sends_nobody_but_to_a_registrys_page(page, back):
    """Who brings a link of his own to a box's page is led nowhere, and the box is asked nothing."""
    link = f"http://127.0.0.1:1/nameplate#challenge=x&back={back.replace('#', '%23')}"

    assert page("follow", link=link) is None


def test_there_are_words_for_every_notice_and_every_wish(page):
    kinds = {notice.kind for rule in ownership.RULES for notice in rule.notices if notice.to != "operator"}
    assert len(kinds) > 20
    for kind in sorted(kinds | {"evidence.over"}):
        said = page.call(
            "words.notice", {"kind": kind, "at": 0, "data": {"home": "a.example.", "due": 9, "reason": "r"}}
        )
        assert kind not in said, "it is said in words"
        assert "{" not in said
    assert all(page.call("words.asks", act) for act in ("enrol", "replace", "bind-owner"))


def test_a_name_in_other_letters_is_shown_with_the_one_that_is_written(page):
    """Nobody accepts a name that only looks like the one he wants."""
    assert page.call("words.shown", {"home": "xn--bcher-kva.homes.example.", "unicode": "bücher"}) == (
        "bücher.homes.example (xn--bcher-kva.homes.example)"
    )
    assert page.call("words.shown", {"home": "smith.homes.example.", "unicode": "smith"}) == "smith.homes.example"


def test_the_page_has_no_script_in_it_no_address_of_others_and_writes_text_as_text():
    """Every file in the folder is served, and imports nothing that is not."""
    served = {route.path for route in page_routes.ROUTES}
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert {f"/{path.relative_to(STATIC)}".removesuffix(".html") for path in files} == served
    for path in files:
        text = path.read_text()
        assert not re.search(r"(inner|outer|Adjacent)HTML|document\.write|\beval\b|new Function", text), path
        assert not re.search(r"https?://(?!\$|\\|\[|\(|box|192\.168)[a-z]", text.replace("http:\\/\\/", "")), path
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=\"/)|<style|\bstyle=|\bon[a-z]+=|<base|<iframe|<form", text), (
                path
            )
            assert all(one in served for one in re.findall(r'(?:src|href)="([^"]*)"', text)), path
        for found in re.findall(r'from "([^"]+)"', text):
            assert (path.parent / found).resolve() in files, (path, found)
