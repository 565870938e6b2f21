"""EST and BRSKI as curl and OpenSSL speak them, with no line of ours on the box's side (rows 9 and 12)."""

import subprocess
import zlib
from base64 import b64decode

import pytest
from boxes import EST, SETTINGS, VOUCHER, Vendor
from desk import Desk
from tools import need

SERVER = "ns1.homes.example"


@pytest.fixture(scope="module")
def desk():
    need("curl")
    need("openssl")
    with Desk(settings=SETTINGS).running(policy="methods=voucher") as desk:
        yield desk


@pytest.fixture(scope="module")
def acme(desk):
    with Vendor(desk, "Acme").running() as vendor:
        yield vendor


@pytest.fixture
def box(request, acme, tmp_path):
    """Return a folder with a box's certificate and key, id.pem and id.key, and with the domain's CA, ca.pem."""
    serial = f"SN-{zlib.crc32(request.node.name.encode())}"
    made = acme.box(serial)
    (tmp_path / "id.pem").write_bytes(made.files[0].read_bytes())
    (tmp_path / "id.key").write_bytes(made.files[1].read_bytes())
    (tmp_path / "pvr.vcj").write_bytes(made.request())
    curl(
        acme.desk, tmp_path, EST + "cacerts", "--output", "ca.b64", "--insecure", "--cert", "id.pem", "--key", "id.key"
    )
    (tmp_path / "ca.p7").write_bytes(b64decode((tmp_path / "ca.b64").read_bytes()))
    (tmp_path / "ca.pem").write_bytes(openssl(tmp_path, "pkcs7", "-inform", "DER", "-in", "ca.p7", "-print_certs"))
    openssl(
        tmp_path, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "d.key",
        "-subj", f"/serialNumber={serial}", "-outform", "DER", "-out", "d.csr",
    )  # fmt: skip
    (tmp_path / "csr.b64").write_bytes(openssl(tmp_path, "base64", "-in", "d.csr"))
    return tmp_path


def openssl(folder, *words, status=0):
    done = subprocess.run([need("openssl"), *words], cwd=folder, capture_output=True, check=False)
    assert done.returncode == status, done.stderr.decode()
    return done.stdout


def curl(desk, folder, path, *words):
    """Run curl against the listener for devices; return the status that it saw."""
    done = subprocess.run(
        [
            need("curl"), "--silent", "--show-error", "--write-out", "%{http_code}", "--tlsv1.3",
            "--resolve", f"{SERVER}:{desk.devices}:127.0.0.1", *words, f"https://{SERVER}:{desk.devices}{path}",
        ],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_box(desk, folder, path, *words, by="id"):
    return curl(desk, folder, path, "--cacert", "ca.pem", "--cert", f"{by}.pem", "--key", f"{by}.key", *words)


def post(desk, folder, verb, file, out, by="id"):
    return as_box(
        desk, folder, EST + verb, "-H", "Content-Type: application/pkcs10", "--data-binary", f"@{file}", "--output",
        out, by=by,
    )  # fmt: skip


def voucher(desk, folder):
    return as_box(
        desk, folder, VOUCHER, "-H", "Content-Type: application/voucher-cms+json", "-H",
        "Accept: application/voucher-cms+json", "--data-binary", "@pvr.vcj", "--output", "v.vcj",
    )  # fmt: skip


def test_the_listener_proves_itself_to_who_knows_the_domains_ca(desk, box):
    """The name is verified, and the chain: no option of curl's is turned off."""
    assert as_box(desk, box, EST + "csrattrs", "--output", "attributes.b64") == "200"

    shown = openssl(box, "asn1parse", "-inform", "DER", "-in", decoded(box, "attributes.b64"))
    assert b"prime256v1" in shown
    assert b"serialNumber" in shown


def decoded(folder, name):
    (folder / f"{name}.der").write_bytes(b64decode((folder / name).read_bytes()))
    return f"{name}.der"


def test_a_voucher_comes_and_openssl_verifies_it_up_to_the_maker(desk, acme, box):
    assert voucher(desk, box) == "200"

    told = openssl(
        box, "cms", "-verify", "-inform", "DER", "-in", "v.vcj", "-CAfile", str(acme.folder / "ca.pem"), "-purpose",
        "any", "-binary",
    )  # fmt: skip
    assert b'"pinned-domain-cert"' in told


def test_a_certificate_comes_that_openssl_leads_to_the_domains_ca(desk, box):
    assert voucher(desk, box) == "200"
    assert post(desk, box, "simpleenroll", "csr.b64", "d.b64") == "200"

    (box / "d.pem").write_bytes(openssl(box, "pkcs7", "-inform", "DER", "-in", decoded(box, "d.b64"), "-print_certs"))
    assert b"OK" in openssl(box, "verify", "-CAfile", "ca.pem", "d.pem")
    text = openssl(box, "x509", "-in", "d.pem", "-noout", "-text")
    assert b".homes.example" in text
    assert b"TLS Web Client Authentication" in text
    assert openssl(box, "x509", "-in", "d.pem", "-noout", "-pubkey") == openssl(box, "pkey", "-in", "d.key", "-pubout")

    assert post(desk, box, "simplereenroll", "csr.b64", "e.b64", by="d") == "200"
    (box / "e.pem").write_bytes(openssl(box, "pkcs7", "-inform", "DER", "-in", decoded(box, "e.b64"), "-print_certs"))
    subjects = [openssl(box, "x509", "-in", one, "-noout", "-subject") for one in ("d.pem", "e.pem")]
    assert subjects[0] == subjects[1]


def test_without_its_certificate_curl_is_told_what_is_missing(desk, box):
    words = ("-H", "Content-Type: application/pkcs10", "--data-binary", "@csr.b64", "--output", "out")

    assert curl(desk, box, EST + "simpleenroll", "--cacert", "ca.pem", *words) == "401"
    assert b"client-certificate-missing" in (box / "out").read_bytes()


@pytest.mark.parametrize("path", [EST + "serverkeygen", EST + "fullcmc"])
def test_what_is_not_offered_is_not_there(desk, box, path):
    assert as_box(desk, box, path, "--data-binary", "@csr.b64", "--output", "out") == "404"


def test_a_body_that_is_not_base64_is_refused(desk, box):
    assert post(desk, box, "simpleenroll", "d.csr", "out") == "400"
    assert b"body-malformed" in (box / "out").read_bytes()
