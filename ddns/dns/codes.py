"""The numbers of DNS that this project uses, each with the document that gives it."""

from __future__ import annotations

from enum import IntEnum

HEADER_SIZE = 12  # RFC 1035 §4.1.1
MAX_LABEL = 63  # RFC 1035 §2.3.4, octets
MAX_NAME = 255  # RFC 1035 §2.3.4, octets on the wire with the root label
MAX_MESSAGE = 65535  # RFC 1035 §4.2.2, octets over TCP
MAX_TTL = 0x7FFFFFFF  # RFC 2181 §8, seconds
CLASS_IN = 1  # RFC 1035 §3.2.4
MAX_POINTER_HOPS = 64  # ours: bounds the work for one compressed name
UDP_MIN_PAYLOAD = 512  # RFC 1035 §2.3.4 and RFC 6891 §6.2.3, octets
UDP_MAX_PAYLOAD = 1232  # ours, under the ceiling of RFC 9715 §3.2, octets

FLAG_QR = 0x8000  # RFC 1035 §4.1.1, in the header's second 16-bit word
FLAG_AA = 0x0400
FLAG_TC = 0x0200
FLAG_RD = 0x0100
FLAG_RA = 0x0080
FLAG_AD = 0x0020  # RFC 4035 §3.1.6
FLAG_CD = 0x0010

EDNS_DO = 0x8000  # RFC 3225 §3, in the OPT's TTL
EDNS_CO = 0x4000  # RFC 9824 §5.1, beside it
EDNS_EDE = 15  # RFC 8914 §2
COOKIE_SIZES = frozenset({8, *range(16, 41)})  # RFC 7873 §4, octets


class EdnsOption(IntEnum):
    """Options of OPT records (RFC 6891 §9), those that mean something here."""

    NSID = 3  # RFC 5001 §2.3
    EXPIRE = 9  # RFC 7314 §3
    COOKIE = 10  # RFC 7873 §4
    KEEPALIVE = 11  # RFC 7828 §3.1
    PADDING = 12  # RFC 7830 §3
    EDE = 15  # RFC 8914 §2
    REPORT_CHANNEL = 18  # RFC 9567 §5.1


class Opcode(IntEnum):
    """RFC 6895 §2.2."""

    QUERY = 0
    NOTIFY = 4
    UPDATE = 5


class Rcode(IntEnum):
    """RFC 6895 §2.3; from 16 on they need EDNS or a TSIG to be expressed."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    YXRRSET = 7
    NXRRSET = 8
    NOTAUTH = 9
    NOTZONE = 10
    BADVERS = 16  # RFC 6891 §9; the same number is BADSIG in a TSIG (RFC 8945 §3)
    BADKEY = 17
    BADTIME = 18
    BADTRUNC = 22
    BADCOOKIE = 23  # RFC 7873 §8


BADSIG = 16  # RFC 8945 §3


class Class(IntEnum):
    """RFC 6895 §3.2."""

    IN = 1
    CH = 3
    NONE = 254  # RFC 2136 §2.4
    ANY = 255


class Type(IntEnum):
    """RFC 6895 §3.1 and IANA's registry; types without a rule of ours are plain integers."""

    A = 1
    NS = 2
    MD = 3
    MF = 4
    CNAME = 5
    SOA = 6
    MB = 7
    MG = 8
    MR = 9
    NULL = 10
    PTR = 12
    HINFO = 13
    MINFO = 14
    MX = 15
    TXT = 16
    RP = 17
    AFSDB = 18
    RT = 21
    SIG = 24
    KEY = 25
    PX = 26
    AAAA = 28
    NXT = 30
    SRV = 33
    NAPTR = 35
    KX = 36
    DNAME = 39
    OPT = 41
    DS = 43
    SSHFP = 44
    IPSECKEY = 45
    RRSIG = 46
    NSEC = 47
    DNSKEY = 48
    NSEC3 = 50
    NSEC3PARAM = 51
    TLSA = 52
    SMIMEA = 53
    CDS = 59
    CDNSKEY = 60
    OPENPGPKEY = 61
    CSYNC = 62
    ZONEMD = 63
    SVCB = 64
    HTTPS = 65
    NXNAME = 128  # RFC 9824 §3.5
    TKEY = 249
    TSIG = 250
    IXFR = 251
    AXFR = 252
    MAILB = 253
    MAILA = 254
    ANY = 255


# Types that name a question or a message's envelope and are never data (RFC 6895 §3.1, RFC 9824).
META_TYPES = frozenset({0, Type.OPT, *range(128, 256)})

# What the signer owns in a zone that it signs; clients may not write it (RFC 3007 §4).
SIGNER_TYPES = frozenset(
    {
        Type.RRSIG, Type.NSEC, Type.NSEC3, Type.NSEC3PARAM, Type.DNSKEY,
        Type.CDS, Type.CDNSKEY, Type.CSYNC, Type.ZONEMD, Type.NXT,
    }
)  # fmt: skip


class Algorithm(IntEnum):
    """DNSSEC and SIG(0) algorithms that are verified or signed with here (RFC 9904)."""

    RSASHA256 = 8
    ECDSAP256SHA256 = 13
    ECDSAP384SHA384 = 14
    ED25519 = 15


class Ede(IntEnum):
    """Extended error codes (RFC 8914 §4)."""

    OTHER = 0
    NOT_READY = 14
    BLOCKED = 15
    PROHIBITED = 18
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21
    INVALID_DATA = 24
    NETWORK_ERROR = 23
    SIGNATURE_EXPIRED = 7
    DNSSEC_BOGUS = 6
    INVALID_QUERY_TYPE = 30  # RFC 9824 §3.5
