"""Master files of any shape: read as dnspython and BIND read them, refused with file, line and cure."""

from __future__ import annotations

import io
import subprocess
import time

import dns.zone
import pytest
from tools import need

from ddns.dns import names, records
from ddns.dns.codes import Type
from ddns.dns.masterfile import BadMasterFile, Reader
from ddns.dns.spelling import type_to_text
from ddns.dns.text import rdata_to_text
from ddns.dns.tokens import MAX_ENTRY
from ddns.dns.zonefile import read_zone, write_zone

ORIGIN = names.from_text("exam.test.")
HEAD = "$TTL 300\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"


def read(text, origin=ORIGIN, **options):
    octets = text if isinstance(text, bytes) else text.encode()
    return read_zone(io.BytesIO(octets), "exam.zone", origin, **options)


def listed(zone):
    """Every record as text, for comparison."""
    return {
        (names.to_text(one.name), type_to_text(one.type), one.ttl, rdata_to_text(one.type, rdata))
        for one in zone.rrsets
        for rdata in one.rdatas
    }


def wires(zone):
    return {(one.name, one.type): (one.ttl, one.rdatas) for one in zone.rrsets}


def by_dnspython(text, origin="exam.test."):
    zone = dns.zone.from_text(text, origin=origin, relativize=False, check_origin=False, allow_include=True)
    out = {}
    for name, node in zone.items():
        for rdataset in node:
            rdatas = {records.canonical(int(rdataset.rdtype), one.to_wire()) for one in rdataset}
            out[name.canonicalize().to_wire(), int(rdataset.rdtype)] = (rdataset.ttl, tuple(sorted(rdatas)))
    return out


SHAPES = {
    "plain": HEAD + "www A 192.0.2.2\n",
    "parentheses over lines": "$TTL 1h\n@ IN SOA ns1 hostmaster (\n 1 ; serial\n 2h\n 1h 2w )\n"[:-2]
    + " 5m )\n NS ns1\nns1 A 192.0.2.1\n",
    "blank owners": HEAD + "www\tA 192.0.2.2\n\tAAAA 2001:db8::1\n  TXT hello\n",
    "comments": "; a zone\n" + HEAD + "www A 192.0.2.2 ; here\n;www A 192.0.2.3\n   ; nothing\n\n",
    "ttl before class": HEAD + "www 1h30m IN A 192.0.2.2\n",
    "class before ttl": HEAD + "www IN 1h30m A 192.0.2.2\n",
    "lower case words": HEAD + "WWW in a 192.0.2.2\n$ttl 60\n$origin Sub.Exam.Test.\nx cname www.EXAM.test.\n",
    "crlf": (HEAD + "www A 192.0.2.2\n txt ( a\n b )\n").replace("\n", "\r\n"),
    "cr": (HEAD + "www A 192.0.2.2\n txt ( a\n b )\n").replace("\n", "\r"),
    "no newline at the end": HEAD + "www A 192.0.2.2",
    "origin and relative names": HEAD + "$ORIGIN sub\nwww A 192.0.2.2\n@ MX 10 mail\n$ORIGIN deep\nx NS ns.other.\n",
    "missing final dot": HEAD + "www CNAME host.exam.test\n",
    "last ttl where there is no $TTL": "@ 60 SOA ns1 h 1 2 3 4 60\n@ NS ns1\nns1 120 A 192.0.2.1\nb A 192.0.2.2\n",
    "quotes and semicolons": HEAD + 'www TXT "a;b" "c ( d" e\\;f "" "g\\"h" \\(i\n',
    "escaped names": HEAD + "a\\.b A 192.0.2.2\n\\@ A 192.0.2.3\nx\\032y A 192.0.2.4\n\\$z A 192.0.2.5\n",
    "wildcards": HEAD + "* A 192.0.2.2\n*.sub TXT x\n",
    "unknown types": HEAD + "www TYPE65280 \\# 3 abcdef\nwww TYPE1 \\# 4 c0000202\nwww CLASS1 TYPE65281 \\# 0\n",
    "service records": HEAD + 'www HTTPS 1 . alpn="h2,h3" port=8443\n_443._tcp.www TLSA 3 1 1 ' + "ab" * 32 + "\n",
    "duplicates": HEAD + "www A 192.0.2.2\nwww A 192.0.2.2\nWWW A 192.0.2.2\n",
    "a name like a type": HEAD + "a A 192.0.2.2\nmx 60 MX 10 mx\nin IN A 192.0.2.9\n",
    "a number as owner": HEAD + "12 A 192.0.2.2\n1h TXT x\n",
    "utf-8 text": HEAD + 'www TXT "Müller"\n',
    "generate": HEAD + "$GENERATE 1-9/2 host-$ A 192.0.2.$\n$GENERATE 0-1 x${5,3} 60 IN CNAME y${0,4,x}\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_reads_as_dnspython_reads_it(shape):
    assert wires(read(SHAPES[shape])) == by_dnspython(SHAPES[shape])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_reads_as_bind_reads_it(shape, tmp_path):
    source, target = tmp_path / "exam.zone", tmp_path / "out.zone"
    source.write_bytes(SHAPES[shape].encode())

    subprocess.run(
        [need("named-compilezone"), "-i", "none", "-k", "ignore", "-o", target, "exam.test", source],
        check=True,
        capture_output=True,
    )

    assert wires(read(target.read_bytes())) == wires(read(SHAPES[shape]))


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("www A\n", 5, "has no data"),
        ("www\n", 5, "before its type"),
        ("www A 192.0.2.300\n", 5, "write it like 192.0.2.1"),
        ("www AA 192.0.2.1\n", 5, "no record type"),
        ("www CH A 192.0.2.1\n", 5, "write IN"),
        ("www CLASS3 A 192.0.2.1\n", 5, "write IN"),
        ("www OPT \\# 0\n", 5, "never in a zone"),
        ("www TYPE255 \\# 0\n", 5, "never in a zone"),
        ("www 99999999999 A 192.0.2.1\n", 5, "above 2147483647"),
        ("www 1h30 A 192.0.2.1\n", 5, "is no time"),
        ("www 60 60 A 192.0.2.1\n", 5, "no record type"),
        ('\n\nwww TXT "open\n', 7, "quote is not closed"),
        ("www TXT open\\\n", 5, "backslash ends"),
        ("www TXT ( a\nb\nc\n", 5, "never closed"),
        ("www TXT a )\n", 5, "not opened"),
        ("other.example. A 192.0.2.1\n", 5, "outside the zone"),
        ("exam.test A 192.0.2.1\nxexam.test. A 192.0.2.1\n", 6, "outside the zone"),
        ("@ SOA ns1 hostmaster 2 7200 3600 1209600 300\n", 5, "second exam.test. SOA"),
        ("www SOA ns1 hostmaster 2 7200 3600 1209600 300\n", 5, "only exam.test. has one"),
        ("www CNAME a\nwww A 192.0.2.1\n", 5, "a CNAME stands alone"),
        ("www A 192.0.2.1\nwww CNAME a\n", 6, "a CNAME stands alone"),
        ("www CNAME a\nwww CNAME b\n", 6, "second www.exam.test. CNAME"),
        ("@ DS 1 13 2 " + "ab" * 32 + "\n", 5, "the parent's zone"),
        ("$INCLUDE other.zone\n", 5, "not allowed here"),
        ("$INCLUDE\n", 5, "takes a file"),
        ("$ORIGIN\n", 5, "takes one word"),
        ("$TTL 1y\n", 5, "is no time"),
        ("$FOO x\n", 5, "not known"),
        ("$GENERATE 1-2 x A\n", 5, "is written"),
        ("$GENERATE 2-1 x$ A 192.0.2.$\n", 5, "lower number first"),
        ("$GENERATE 1-2/0 x$ A 192.0.2.$\n", 5, "step above 0"),
        ("$GENERATE 0-65536 x$ A 192.0.2.1\n", 5, "split the range"),
        ("$GENERATE 0-1 x${0,0,q} A 192.0.2.1\n", 5, "d, o, x, X, n or N"),
        ("$GENERATE 0-1 x${-1} A 192.0.2.1\n", 5, "counts below 0"),
        ('"www" A 192.0.2.1\n', 5, "without them"),
        ("a..b A 192.0.2.1\n", 5, "empty label"),
        ("x" * 64 + " A 192.0.2.1\n", 5, "longer than 63"),
        ("x" * 63 + ("." + "x" * 63) * 3 + " A 192.0.2.1\n", 5, "longer than 255"),
        ("m\u00fcller A 192.0.2.1\n", 5, "xn--"),
    ],
)
def test_an_error_names_the_file_the_line_and_the_cure(text, line, says):
    with pytest.raises(BadMasterFile) as caught:
        read(HEAD + text)

    assert str(caught.value).startswith(f"exam.zone, line {line}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no SOA"),
        ("\n; nothing\n", "no SOA"),
        ("$TTL 60\n@ NS ns1\n", "no SOA"),
        ("$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n", "no NS"),
        (" A 192.0.2.1\n", "no owner"),
        ("@ NS ns1\n", "no TTL"),
        ("\x00\x01\x02", "before its type"),
        ("{\n", "before its type"),
    ],
)
def test_a_file_that_is_no_zone_says_so(text, says):
    with pytest.raises(BadMasterFile, match=f"^exam.zone.*: .*{says}"):
        read(text)


def test_an_entry_at_the_bound_is_read_and_one_above_is_refused():
    fits = HEAD + "www TXT (" + "\n".join(["a" * 250] * 200) + ")\n"
    room = b";" + b"x" * (MAX_ENTRY - 2)

    assert len(read(fits).rrsets) == 4
    assert len(read(HEAD.encode() + room[:-1] + b"\n").rrsets) == 3
    with pytest.raises(BadMasterFile, match="longer than a mebibyte"):
        read(HEAD + "www TXT " + "x" * MAX_ENTRY + "\n")
    with pytest.raises(BadMasterFile, match="longer than a mebibyte"):
        read(HEAD + "www TXT (\n" + "\n" * MAX_ENTRY)


def test_octets_of_any_kind_are_refused_and_never_crash():
    for octets in (bytes(range(256)), b"\xff" * 5000, b"(" * 100_000, b"a " * 5000, b"$TTL\n" * 10, b"\\" * 999, b'"'):
        with pytest.raises(BadMasterFile):
            read(octets)


def test_a_byte_order_mark_does_not_hurt():
    assert wires(read(b"\xef\xbb\xbf" + HEAD.encode())) == wires(read(HEAD))


def test_the_minimum_of_the_soa_is_the_ttl_of_last_resort():
    zone = read("@ SOA ns1 h 1 2 3 4 77\n@ NS ns1\n")

    assert {one.ttl for one in zone.rrsets} == {77}


def test_differing_ttls_become_the_least_with_a_warning():
    zone = read(HEAD + "www 60 A 192.0.2.2\nwww 30 A 192.0.2.3\nwww 90 A 192.0.2.4\n")

    assert next(one for one in zone.rrsets if one.name.startswith(b"\3www")).ttl == 30
    assert zone.warnings[0].startswith("exam.zone, line 6: the TTLs of www.exam.test. A differ")


def test_warnings_are_bounded():
    zone = read(HEAD + "".join(f"w{i} 60 A 192.0.2.2\nw{i} 30 A 192.0.2.3\n" for i in range(50)))

    assert len(zone.warnings) == 21
    assert zone.warnings[-1] == "30 more warnings"


def test_a_server_without_an_address_is_a_warning():
    zone = read(HEAD + "@ NS ns2\n@ NS ns.other.example.\n")

    assert len(zone.warnings) == 1
    assert "ns2.exam.test. has no address" in zone.warnings[0]


def test_more_data_than_an_answer_carries_is_refused():
    records_ = "".join(f'www TXT "{i:0250d}"\n' for i in range(260))

    with pytest.raises(BadMasterFile, match="more data than one answer can carry"):
        read(HEAD + records_)


def test_the_root_zone_reads():
    zone = read(". 86400 IN SOA a.root-servers.net. nstld.verisign-grs.com. 1 2 3 4 5\n"
                ". 518400 IN NS a.root-servers.net.\ncom. 172800 IN NS a.gtld-servers.net.\n"
                "a.gtld-servers.net. 172800 IN A 192.5.6.30\n", names.ROOT)  # fmt: skip

    assert [names.to_text(one.name) for one in zone.rrsets] == [".", ".", "com.", "a.gtld-servers.net."]
    assert zone.serial == 1


SIGNED = HEAD + (
    "@ RRSIG SOA 13 2 300 20300101000000 20200101000000 1 exam.test. c2ln\n"
    "@ DNSKEY 257 3 13 oJMRESz5E4gYzS/q6XDrvU1qMPYIjCWzJaOau8XNEZeqCYKD5ar0IRd8KqXXFJkqmVfRvMGPmM1x8fGAa2XhSA==\n"
    "@ NSEC3PARAM 1 0 0 -\n"
    "ns1 NSEC exam.test. A RRSIG NSEC\n"
    "ns1 RRSIG A 13 3 300 20300101000000 20200101000000 1 exam.test. c2ln\n"
    "ns1 RRSIG A 13 3 300 20300101000000 20200101000000 2 exam.test. c2ln\n"
    "gone RRSIG A 13 3 300 20300101000000 20200101000000 1 exam.test. c2ln\n"
)


def test_dnssec_records_of_an_earlier_signing_are_dropped_and_counted():
    zone = read(SIGNED)

    assert zone.dropped == 7
    assert wires(zone) == wires(read(HEAD))


def test_a_signed_zone_may_stay_as_it_is():
    zone = read(SIGNED, keep_signatures=True)

    published = {(one.name, one.type): one.sigs for one in zone.published()}
    ns1 = names.from_text("ns1.exam.test.")
    assert len(published[ORIGIN, Type.SOA]) == 1
    assert len(published[ns1, Type.A]) == 2
    assert published[ns1, Type.NSEC] == ()
    assert not any(rdtype == Type.RRSIG for _, rdtype in published)
    assert "gone.exam.test. A, which is not in the zone" in zone.warnings[-1]


def include_from(files):
    def include(path, _from):
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return path, io.BytesIO(files[path].encode())

    return include


def test_an_include_restores_origin_owner_and_ttl():
    files = {"sub.zone": "$TTL 60\n$ORIGIN deep\nx A 192.0.2.7\n"}
    zone = read(HEAD + "www A 192.0.2.2\n$INCLUDE sub.zone sub\n AAAA 2001:db8::1\ny A 192.0.2.8\n",
                include=include_from(files))  # fmt: skip

    assert {(name, rdtype, ttl) for name, rdtype, ttl, _ in listed(zone) if rdtype != "SOA"} == {
        ("exam.test.", "NS", 300), ("ns1.exam.test.", "A", 300), ("www.exam.test.", "A", 300),
        ("x.deep.sub.exam.test.", "A", 60), ("www.exam.test.", "AAAA", 300), ("y.exam.test.", "A", 300),
    }  # fmt: skip


def test_an_error_in_an_included_file_names_that_file():
    with pytest.raises(BadMasterFile, match=r"^sub\.zone, line 2: "):
        read(HEAD + "$INCLUDE sub.zone\n", include=include_from({"sub.zone": "\nx A y\n"}))


def test_includes_that_do_not_end_or_do_not_exist_are_refused():
    with pytest.raises(BadMasterFile, match="includes itself"):
        read(HEAD + "$INCLUDE a\n", include=include_from({"a": "$INCLUDE a\n"}))
    with pytest.raises(BadMasterFile, match=r"line 5: the file b cannot be included \(No such file"):
        read(HEAD + "$INCLUDE b\n", include=include_from({}))


def test_generate_knows_offset_width_and_base():
    zone = read(HEAD + "$GENERATE 10-11 h${-10,3,d}.${0,2,X} A 192.0.2.$\n$GENERATE 26-26 ${0,7,n} PTR p\\$$.\n")

    owners = {name for name, rdtype, _, _ in listed(zone) if rdtype != "SOA"}
    assert owners >= {"h000.0a.exam.test.", "h001.0b.exam.test.", "a.1.0.0.exam.test."}


def test_relative_names_need_the_reader_to_know_the_origin():
    found = list(Reader(io.BytesIO(b"x 60 A 192.0.2.1\n"), "x", names.ROOT))

    assert found == [(b"\1x\0", 1, 60, bytes((192, 0, 2, 1)))]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_written_reads_back(shape):
    zone = read(SHAPES[shape])

    again = read("".join(write_zone(ORIGIN, zone.published())))

    assert wires(again) == wires(zone)


@pytest.mark.parametrize("command", [["named-checkzone", "exam.test"], ["kzonecheck", "-o", "exam.test"],
                                     ["ldns-read-zone"]])  # fmt: skip
def test_other_servers_tools_read_what_is_written(command, tmp_path):
    zone = read(HEAD + 'www TXT "a\\"b\\\\;" "" \\200\n\\$x\\@\\;y\\032 A 192.0.2.2\nwww TYPE65280 \\# 1 00\n'
                "w WALLET a b\nx LOC 42 21 54 N 71 06 18 W -24m 30m\nwww HTTPS 1 . alpn=h2\n")  # fmt: skip
    target = tmp_path / "out.zone"
    target.write_text("".join(write_zone(ORIGIN, zone.published())))

    done = subprocess.run([need(command[0]), *command[1:], target], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_sixty_thousand_records_take_seconds_at_most():
    text = HEAD + "".join(
        f"h{i} A 10.0.{i >> 8}.{i & 255}\nh{i} AAAA 2001:db8::{i:x}\n_443._tcp.cam.h{i} TLSA 3 1 1 {i:064x}\n"
        for i in range(20_000)
    )

    begun = time.process_time()
    zone = read(text)

    assert len(zone.rrsets) == 60_003
    assert time.process_time() - begun < 2.5
