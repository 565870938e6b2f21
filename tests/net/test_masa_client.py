"""What a MASA answers is bounded: bodies in each form of HTTP/1.1, and servers that lie, hang up or err."""

import asyncio
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from makers import certificate, name

from ddns.operator.webhooks import Place
from ddns.web import masa_client
from ddns.web.masa_client import MOST, MasaClient

BODY = b"v" * 100
PATH = "/.well-known/brski/requestvoucher"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/voucher-cms+json; x=y\r\n"


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """Return the server's TLS context and that of a client that believes it."""
    folder, key = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1())
    also = [(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)]
    made = certificate(name("localhost"), key, name("localhost"), key, ca=True, also=also)
    (folder / "c.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "c.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "c.pem", folder / "c.key")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(folder / "c.pem")
    return server, client


async def asked(contexts, answer, *, private=True, host="localhost", believing=True, many=1):
    """Return what the client makes of a server that says *answer*, and what the server heard."""
    heard = []

    async def serve(reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            heard.append(head + await reader.readexactly(4))
            writer.write(answer)
            await writer.drain()
        except (OSError, EOFError):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=contexts[0])
    port = server.sockets[0].getsockname()[1]
    context = contexts[1] if believing else ssl.create_default_context()
    client, place = MasaClient(private=private), Place(host, port, "/")
    try:
        said = await asyncio.gather(
            *[
                client.post(place, "/.well-known/brski/requestvoucher", "a/b", "c/d", b"body", context)
                for _ in range(many)
            ]
        )
    finally:
        server.close()
    return (said[0] if many == 1 else said), heard


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 100\r\n\r\n" + BODY,
        b"content-length:100\r\n\r\n" + BODY,
        b"\r\n" + BODY,
        b"Transfer-Encoding: chunked\r\n\r\n32\r\n" + BODY[:50] + b"\r\n32;x=y\r\n" + BODY[:50] + b"\r\n0\r\n\r\n",
    ],
)
async def test_a_body_is_read_however_it_is_framed(contexts, framing):
    said, heard = await asked(contexts, OK + framing)

    assert (said.status, said.media, said.body, said.problem) == (200, "application/voucher-cms+json", BODY, "")
    assert heard[0].startswith(b"POST /.well-known/brski/requestvoucher HTTP/1.1\r\nHost: localhost:")
    assert heard[0].endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (OK + b"Content-Length: %d\r\n\r\n" % (MOST + 1), "more than"),
        (OK + b"\r\n" + bytes(MOST + 1), "more than"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n", "more than"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nnumber\r\n", "broke off"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n32\r\nshort", "broke off"),
        (OK + b"Content-Length: 101\r\n\r\n" + BODY, "broke off"),
        (b"220 mail.example ESMTP\r\n\r\n", "not HTTP"),
        (b"", "broke off"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000, "too long"),
    ],
    ids=lambda one: str(one)[-40:],
)
async def test_an_answer_that_is_too_long_or_none_is_a_problem_in_words(contexts, answer, problem):
    said, _ = await asked(contexts, answer)

    assert said.status == 0
    assert problem in said.problem


@pytest.mark.parametrize("status", [202, 301, 404, 503])
async def test_another_status_is_told_and_no_redirect_is_followed(contexts, status):
    answer = b"HTTP/1.1 %d X\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n" % status
    said, heard = await asked(contexts, answer)

    assert (said.status, said.body, len(heard)) == (status, b"", 1)


async def test_loopback_is_not_spoken_to_unless_it_is_allowed(contexts):
    said, heard = await asked(contexts, OK, private=False)

    assert "public Internet" in said.problem
    assert heard == []


async def test_a_certificate_that_nobody_believes_ends_it(contexts):
    said, heard = await asked(contexts, OK, believing=False)

    assert "certificate" in said.problem
    assert heard == []


async def test_a_name_that_leads_nowhere_is_a_problem(contexts):
    said, _ = await asked(contexts, OK, host="nowhere.invalid")

    assert "no address" in said.problem


async def test_requests_to_one_maker_take_turns(contexts):
    said, heard = await asked(contexts, OK + b"Content-Length: 0\r\n\r\n", many=3 * masa_client.AT_ONCE)

    assert len(heard) == len(said) == 3 * masa_client.AT_ONCE
    assert {one.status for one in said} == {200}


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/log/1", "/log/1"),
        ("https://masa.example:9443/log/1", "/log/1"),
        ("https://masa.example/log/1", ""),
        ("https://masa.example:9443.evil.example/log/1", ""),
        ("https://masa.example:9443@evil.example/log/1", ""),
        ("http://masa.example:9443/log/1", ""),
        ("//evil.example/log/1", ""),
        ("log/1", ""),
        ("", ""),
    ],
    ids=["path", "whole", "port", "longer", "user", "http", "network", "relative", "none"],
)
def test_a_log_made_elsewhere_is_looked_for_at_the_same_authority_alone(location, path):
    assert masa_client.within(Place("masa.example", 9443, "/"), location) == path


async def test_where_a_log_was_made_is_told(contexts):
    answer = b"HTTP/1.1 201 Created\r\nLocation: /log/7\r\nContent-Length: 0\r\n\r\n"

    said, _ = await asked(contexts, answer)

    assert (said.status, said.location) == (201, "/log/7")
