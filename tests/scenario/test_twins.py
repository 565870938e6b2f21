"""The service with its native twin and without: who asks cannot tell which one answers."""

import pytest
from asking import query
from service import Service, eventually
from twins import need_native

HOME = """$TTL 300
@ SOA ns1 hostmaster 1 7200 3600 1209600 300
@ NS ns1
ns1 A 127.0.0.1
www A 192.0.2.1
www AAAA 2001:db8::1
alias CNAME www
sub NS ns.elsewhere.example.
*.any TXT "any"
"""
NAMES = ("www", "alias", "nothing", "deep.er", "sub", "x.any", "ns1")
QUESTIONS = [
    query(f"{name}.homes.example.", rdtype, do=do, edns=edns)
    for name in NAMES
    for rdtype in ("A", "AAAA", "DS")
    for edns, do in ((False, False), (True, False), (True, True))
]


@pytest.fixture
def service():
    made = Service("--workers", "1")
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
        made.remove()


def answers(service):
    """Return the answers to all questions, each asked three times: what is prepared must be what was not."""
    given = [[service.exchange(wire) for _ in range(3)] for wire in QUESTIONS]
    assert all(map(all, given))
    return given


def test_the_service_answers_alike_with_its_native_twin_and_without(service):
    """Octet for octet; which one runs is in the log and in `ddns --version`."""
    need_native()
    file = service.folder / "zone"
    file.write_text(HOME)
    service.ddns("zone", "import", file, "--origin", "homes.example")
    said = {}
    for service.pure in (False, True):
        service.start()
        eventually(lambda: service.signed("homes.example."))
        said[service.pure] = answers(service)
        assert (
            service.ddns("--version").strip().endswith("pure Python, as DDNS_PURE asks" if service.pure else "native")
        )
        service.stop()

    assert said[True] == said[False]
    assert all(first == second == third for first, second, third in said[True])
    log = service.log.read_text()
    assert "twin=native" in log
    assert "twin=pure Python" in log
