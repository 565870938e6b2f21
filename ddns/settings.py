"""The service's settings: one frozen type per table of `ddns.toml`, a sentence and a safe default per field.

Law: an unknown table or key is an error that names it; what is not written keeps its default. The
sentences here are the comments of `deploy/ddns.toml`, which is this module's own output.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from pathlib import Path
from typing import Annotated, get_type_hints

import msgspec
from msgspec import Meta

from ddns import tomlfile
from ddns.dns import names
from ddns.dns.codes import MAX_TTL

DNS_PORT = 53
TLS_PORT = 853  # RFC 7858 §3.1, and RFC 9250 §4.1.1 over UDP
HTTPS_PORT = 443
MOST_WORKERS = 64
_USUAL_WORKERS = 4  # more than this is worth asking for, not guessing
_WIDTH = 96  # characters of a comment's line


class BadSettings(ValueError):
    """Settings that cannot be used; the message is one sentence with file, key and cure."""

    exit_status = 1


class Serve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the service listens and how many processes answer."""

    listen: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="Addresses and ports, UDP and TCP. For the Internet: your own addresses and port 53.",
        ),
    ] = ("127.0.0.1:5300", "[::1]:5300")
    name: Annotated[
        str,
        Meta(
            description="The server's own host name, as in the zones' NS records. What proves it is published there: "
            "the KEY that signs answers to SIG(0), the TLSA of its certificate. Empty: neither."
        ),
    ] = ""
    workers: Annotated[
        int,
        Meta(ge=0, le=MOST_WORKERS, description="Processes that answer; 0 means one for each CPU, four at most."),
    ] = 0


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which Postgres holds the zones. --dsn, DDNS_DSN, --state and DDNS_STATE win over these."""

    dsn: Annotated[
        str, Meta(description="A Postgres (15 or newer) of your own; empty: one that the service starts itself.")
    ] = ""
    state: Annotated[
        str,
        Meta(description="The folder of the embedded database and of key files; empty: in the user's state folder."),
    ] = ""
    memory_mib: Annotated[
        int,
        Meta(
            ge=16,
            le=65_536,
            description="MiB that the embedded database keeps of its pages (shared_buffers). For a big registry about "
            "a third of the machine's memory: a million homes make a database of 16 GB, and commits wait for each "
            "page that comes from the disk.",
        ),
    ] = 128
    log_mib: Annotated[
        int,
        Meta(
            ge=256,
            le=1_048_576,
            description="MiB of log that the embedded database gathers on disk before it writes its pages out "
            "(max_wal_size). Where a million homes change within minutes, 16384 spares it to log their pages whole "
            "again and again.",
        ),
    ] = 4096


class Signer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the service reaches the signer, the only program that opens private keys."""

    socket: Annotated[
        str, Meta(description="The signer's unix socket; empty: run/signer.sock in the state folder.")
    ] = ""
    wait: Annotated[
        float,
        Meta(ge=0.01, le=60, description="Seconds that an update waits for its signatures before it is kept unsigned."),
    ] = 1.0
    keys: Annotated[
        int,
        Meta(
            ge=1, description="Zones whose opened keys the signer remembers, some 3.5 KiB each; others are read anew."
        ),
    ] = 20_000


class Compact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each worker has signed for zones with compact denial (`--denial compact`) when somebody asks for it."""

    rate: Annotated[
        float,
        Meta(
            ge=1,
            le=100_000,
            description="Names a second that are signed, half of them for askers whose address is proved: over TCP or "
            "by a cookie; half of either for what wildcards answer. Who finds none left is told to come by TCP, and "
            "there gets SERVFAIL.",
        ),
    ] = 2000.0
    each: Annotated[
        float, Meta(ge=1, le=100_000, description="Names a second for one IPv4 /24 or IPv6 /56; twice as many at once.")
    ] = 100.0
    waiting: Annotated[int, Meta(ge=1, le=100_000, description="Questions that wait for signatures.")] = 512
    wait: Annotated[
        float, Meta(ge=0.01, le=10, description="Seconds that one waits; a resolver asks another server then.")
    ] = 1.0
    memory_mib: Annotated[
        int, Meta(ge=1, le=65_536, description="MiB of signed denials that are remembered, some 900 octets each.")
    ] = 16


class Cache(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each worker keeps in memory."""

    memory_mib: Annotated[
        int,
        Meta(
            ge=16,
            description="MiB for zones and ready answers, half of it each; what nobody asks for goes first and is "
            "read again when it is needed. The list of zones comes on top, some 150 octets for each.",
        ),
    ] = 256
    zones: Annotated[
        int,
        Meta(
            ge=0,
            description="Zones loaded ahead at the start, as far as there is room, and homes whose keys are; "
            "others when first asked for.",
        ),
    ] = 20_000
    answers: Annotated[int, Meta(ge=1000, description="Ready answers kept at most; about half a KiB each.")] = 500_000


class Tcp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Connections to each worker, over TCP, TLS, HTTPS and QUIC together."""

    clients: Annotated[int, Meta(ge=1, description="Connections at a time; the longest idle one makes room.")] = 500
    per_client: Annotated[int, Meta(ge=1, description="Connections at a time from one IPv4 address or IPv6 /56.")] = 50
    in_flight: Annotated[int, Meta(ge=1, description="Messages of one connection that wait for their answers.")] = 100
    idle: Annotated[
        float,
        Meta(ge=0.1, le=3600, description="Seconds of silence after which one is closed; fewer when half are taken."),
    ] = 10.0
    message: Annotated[
        float, Meta(ge=0.1, le=3600, description="Seconds for one message from its first octet to its last.")
    ] = 10.0
    unread: Annotated[
        float, Meta(ge=0.1, le=3600, description="Seconds for which a client may leave its answers unread.")
    ] = 10.0
    held_mib: Annotated[
        int, Meta(ge=1, description="MiB of unfinished messages and unread answers of all connections together.")
    ] = 64


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """DNS over TLS, and the certificate that HTTPS and QUIC show too."""

    listen: Annotated[
        tuple[str, ...], Meta(description="Addresses and ports for DNS over TLS; for the Internet, port 853.")
    ] = ()
    certificate: Annotated[
        str,
        Meta(description="The certificate and its chain, PEM; empty: one that the service makes itself, for DANE."),
    ] = ""
    key: Annotated[str, Meta(description="The certificate's private key, PEM, without a password.")] = ""
    name: Annotated[
        str,
        Meta(description="This server's name, empty: [serve] name; the zone here that holds it gets its TLSA records."),
    ] = ""
    port: Annotated[
        int, Meta(ge=0, le=0xFFFF, description="The port that clients know, if another than listened on; 0: the same.")
    ] = 0
    handshake: Annotated[float, Meta(ge=0.1, le=60, description="Seconds for a handshake.")] = 5.0
    handshakes: Annotated[
        float,
        Meta(ge=0.1, description="Handshakes a second that one client may begin; five times as many at once."),
    ] = 20.0
    roll: Annotated[
        float,
        Meta(ge=0, le=604800, description="Seconds for which a new key's TLSA is published before the key is shown."),
    ] = 900.0


class Https(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """DNS over HTTPS, at the path /dns-query."""

    listen: Annotated[
        tuple[str, ...], Meta(description="Addresses and ports for DNS over HTTPS; for the Internet, port 443.")
    ] = ()
    port: Annotated[
        int, Meta(ge=0, le=0xFFFF, description="The port that clients know, if another than listened on; 0: the same.")
    ] = 0


class Quic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """DNS over QUIC; the first worker serves it."""

    listen: Annotated[
        tuple[str, ...], Meta(description="Addresses and ports for DNS over QUIC; for the Internet, port 853.")
    ] = ()
    port: Annotated[
        int, Meta(ge=0, le=0xFFFF, description="The port that clients know, if another than listened on; 0: the same.")
    ] = 0


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The desk: enrolment and the API over HTTPS, in a process of its own; [tcp] bounds its connections too."""

    listen: Annotated[
        tuple[str, ...],
        Meta(description="Addresses and ports for people and programs; the certificate is that of [tls]."),
    ] = ()
    devices: Annotated[
        tuple[str, ...],
        Meta(description="Addresses and ports for devices, which are asked for a certificate of their own there."),
    ] = ()
    port: Annotated[
        int, Meta(ge=0, le=0xFFFF, description="The port that clients know, if another than listened on; 0: the same.")
    ] = 0
    page: Annotated[
        bool, Meta(description="Show /phone, the page that works as an owner's phone; browsers want [tls] certificate.")
    ] = True
    private: Annotated[
        bool, Meta(description="Let webhooks lie at loopback and private addresses too, for networks of one's own.")
    ] = False
    waiting: Annotated[int, Meta(ge=1, description="Requests under way; more are told to come again.")] = 512
    seconds: Annotated[float, Meta(ge=1, le=600, description="Seconds for one request, before it is given up.")] = 20.0
    source_burst: Annotated[
        float, Meta(ge=1, description="Requests at once from one IPv4 address or IPv6 /56 that shows no good token.")
    ] = 60.0
    source_rate: Annotated[float, Meta(gt=0, description="The same, a second.")] = 2.0
    strangers: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="The part of a CPU for statements that are signed by keys by which nothing was done here lately, "
            "all sources together.",
        ),
    ] = 0.25
    token_burst: Annotated[float, Meta(ge=1, description="Requests at once with one token.")] = 200.0
    token_rate: Annotated[float, Meta(gt=0, description="The same, a second.")] = 50.0


class Enrol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How homes that are asked for over HTTPS at the same time come to be together."""

    at_once: Annotated[
        int, Meta(ge=1, le=200, description="Enrolments of one tenant that share a commit; 1: each has its own.")
    ] = 32
    gather_ms: Annotated[
        int, Meta(ge=0, le=1000, description="Milliseconds that the first one waits for others to come.")
    ] = 5
    waiting: Annotated[int, Meta(ge=1, description="Enrolments that wait; more are told to come again.")] = 256


class Update(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one update may ask for, and how many may wait."""

    transport: Annotated[
        str,
        Meta(pattern="^(any|encrypted)$", description="How updates may come; encrypted: by TLS, HTTPS or QUIC alone."),
    ] = "any"
    records_per_update: Annotated[int, Meta(ge=1, description="Prerequisites and operations of one update.")] = 1000
    records_per_rrset: Annotated[int, Meta(ge=1, description="Records of one name and type.")] = 256
    octets_per_rrset: Annotated[
        int, Meta(ge=512, le=48 * 1024, description="Octets of data of one name and type; one answer must hold them.")
    ] = 32 * 1024
    types_per_name: Annotated[int, Meta(ge=1, description="Types of records at one name.")] = 100
    ttl: Annotated[int, Meta(ge=1, le=MAX_TTL, description="The greatest TTL in seconds.")] = MAX_TTL
    waiting: Annotated[int, Meta(ge=1, description="Updates that wait in one worker; more are refused.")] = 4096
    per_key: Annotated[int, Meta(ge=1, description="Updates of one key that wait in one worker.")] = 1024
    at_once: Annotated[int, Meta(ge=1, description="Updates that share one commit; the keys take turns.")] = 100
    lookups: Annotated[int, Meta(ge=1, description="Updates that wait until their key is looked up.")] = 1024
    keys: Annotated[int, Meta(ge=1, description="Keys that one worker remembers.")] = 100_000


class Flood(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How updates wait in one worker until they are judged. Strangers are addresses without a good signature lately."""

    waiting: Annotated[
        int, Meta(ge=16, description="Unjudged updates that wait in each class. Other senders are told to use TCP.")
    ] = 4096
    per_source: Annotated[int, Meta(ge=1, description="Unjudged updates of one address that wait.")] = 256
    strangers: Annotated[
        float, Meta(gt=0, le=0.9, description="The part of its time that strangers get, beside what nobody else uses.")
    ] = 0.2
    known: Annotated[int, Meta(ge=16, description="Addresses with a good signature that are remembered.")] = 65536
    doubts: Annotated[
        int, Meta(ge=1, description="Wrong signatures a second from one such address after which it is a stranger's.")
    ] = 100


class Rrl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Response rate limiting over UDP, per worker: answers a second to one network."""

    answers: Annotated[
        int,
        Meta(ge=0, description="With the same name and type, or without data from the same zone; 0: no limits at all."),
    ] = 200
    errors: Annotated[int, Meta(ge=0, description="REFUSED, FORMERR and other errors; 0: unlimited.")] = 100
    every: Annotated[int, Meta(ge=0, description="All together; 0: unlimited.")] = 1000
    window: Annotated[
        int, Meta(ge=1, le=3600, description="Seconds that a network has to be below its rate to be answered again.")
    ] = 5
    slip: Annotated[
        int,
        Meta(
            ge=0,
            le=10,
            description="Every so many answers over the rate one goes out truncated, so that an honest resolver comes "
            "by TCP; 0: none.",
        ),
    ] = 2
    ipv4_prefix: Annotated[int, Meta(ge=8, le=32, description="Bits of IPv4 addresses that make a network.")] = 24
    ipv6_prefix: Annotated[int, Meta(ge=16, le=128, description="Bits of IPv6 addresses that make a network.")] = 56
    exempt: Annotated[
        tuple[str, ...], Meta(description="Networks that are never limited. A good DNS cookie exempts anybody.")
    ] = ("127.0.0.0/8", "::1/128")
    table: Annotated[int, Meta(ge=1024, description="Networks and accounts that are counted at a time.")] = 100_000


class Lease(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long records are kept that were sent with a lease (RFC 9664). Others stay until they are deleted."""

    minimum: Annotated[int, Meta(ge=10, le=86_400, description="Seconds; who asks for less gets so much.")] = 30
    default: Annotated[int, Meta(ge=10, description="Seconds, for a registration that asks for none.")] = 7200
    maximum: Annotated[int, Meta(ge=10, le=31_536_000, description="Seconds; who asks for more gets so much.")] = 86_400
    key_minimum: Annotated[int, Meta(ge=10, description="The same for KEY records, which keep a name reserved.")] = 30
    key_default: Annotated[int, Meta(ge=10, description="Seconds that a registered name stays reserved.")] = 1_209_600
    key_maximum: Annotated[int, Meta(ge=10, le=31_536_000, description="Seconds that a KEY is kept at most.")] = (
        1_209_600
    )
    grace: Annotated[
        int,
        Meta(ge=0, description="Seconds after an outage in which nothing ends; a longer outage counts twice, then."),
    ] = 600


class Dane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What zones demand of their TLSA records, unless `ddns zone dane` says otherwise."""

    strict: Annotated[
        bool,
        Meta(
            description="Guard every update, not only those of gateways that ask for it: no record that caches need "
            "goes before another is safe."
        ),
    ] = False
    usages: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=3)], ...],
        Meta(min_length=1, description="The certificate usages that are taken: 3 a key, 2 a CA of the home's own."),
    ] = (3, 2)


class Sig0(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many SIG(0) verifications that fail are paid for, so that they cannot use up the CPU."""

    source_burst: Annotated[float, Meta(gt=0, description="At once, from one IPv4 /24 or IPv6 /56.")] = 64.0
    source_rate: Annotated[float, Meta(gt=0, description="A second, from one IPv4 /24 or IPv6 /56.")] = 8.0
    key_burst: Annotated[float, Meta(gt=0, description="At once, in the name of one key.")] = 16.0
    key_rate: Annotated[float, Meta(gt=0, description="A second, in the name of one key.")] = 2.0
    worker_burst: Annotated[float, Meta(gt=0, description="At once, in one worker.")] = 500.0
    worker_rate: Annotated[float, Meta(gt=0, description="A second, in one worker.")] = 250.0
    known_for: Annotated[
        float, Meta(ge=0, description="Seconds for which a source that showed a good signature is trusted more.")
    ] = 86400.0
    purses: Annotated[int, Meta(ge=16, description="Sources and keys that are counted at a time.")] = 65536
    window: Annotated[
        int, Meta(ge=60, le=86400, description="The longest time in seconds that one signature may be valid for.")
    ] = 3900


class Tsig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shared secrets."""

    allow_sha1: Annotated[
        bool, Meta(description="Accept hmac-sha1 too, for old gateways that know nothing else (RFC 8945 §6).")
    ] = False


class Edns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What answers say besides the answer (EDNS)."""

    cookies: Annotated[
        bool, Meta(description="Give and check DNS cookies (RFC 7873), by which askers show that an address is theirs.")
    ] = True
    cookie_secret_file: Annotated[
        str,
        Meta(
            description="A file with one or two cookie secrets, 32 hexadecimal digits a line, the first makes cookies: "
            "for servers beside BIND, Knot or NSD at one address. Empty: secrets of each day from secrets.key."
        ),
    ] = ""
    nsid: Annotated[
        str, Meta(max_length=63, description="The name of this server for those who ask for its NSID; empty: none.")
    ] = ""
    identity: Annotated[
        str, Meta(max_length=63, description="What id.server and hostname.bind say in class CH; empty: refused.")
    ] = ""
    version: Annotated[
        str, Meta(max_length=63, description="What version.server and version.bind say in class CH; empty: refused.")
    ] = ""
    report: Annotated[
        str,
        Meta(
            description="The agent domain to which resolvers report what fails (RFC 9567), outside of all zones "
            "served here; empty: none."
        ),
    ] = ""


class Transfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Zone transfers to secondaries, which `ddns transfer` allows, and what tells them of changes (NOTIFY)."""

    at_once: Annotated[int, Meta(ge=1, le=64, description="Transfers under way in each worker; more are put off.")] = 8
    seconds: Annotated[float, Meta(ge=1, le=86400, description="The longest time in seconds that one may take.")] = (
        900.0
    )
    stall: Annotated[
        float, Meta(ge=0.1, le=3600, description="Seconds after which a client that does not read is given up.")
    ] = 30.0
    history: Annotated[
        int,
        Meta(ge=0, le=100_000, description="Versions that one IXFR may lead through; who is further behind gets AXFR."),
    ] = 1000
    delta: Annotated[int, Meta(ge=0, description="Octets of changes, as stored, that one IXFR may consist of.")] = (
        4194304
    )
    ratio: Annotated[
        float,
        Meta(ge=0, description="What an IXFR may be of the zone's size before the whole zone is sent; 0: any size."),
    ] = 1.0
    editions: Annotated[
        int,
        Meta(
            ge=100, description="Versions of a zone whose changes are kept; those of a week, and the last 100 always."
        ),
    ] = 10_000
    tries: Annotated[
        int, Meta(ge=1, le=100, description="NOTIFYs without an answer after which a secondary is left alone a while.")
    ] = 6
    wait: Annotated[
        float,
        Meta(ge=0.1, le=60, description="Seconds for the answer to the first NOTIFY, doubled for each after."),
    ] = 2.0
    notify_from: Annotated[
        tuple[str, ...],
        Meta(max_length=2, description="Addresses that NOTIFY is sent from, one IPv4 and one IPv6; empty: any."),
    ] = ()


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the service asks what they show: secondaries for serials, a parent's servers for the DS. Key rolls wait."""

    every: Annotated[
        float, Meta(ge=1, le=3600, description="Seconds, at most, until a secondary is asked again that a roll awaits.")
    ] = 60.0
    fast: Annotated[
        float, Meta(ge=0.1, le=60, description="Seconds until it is asked again at first; then less and less often.")
    ] = 5.0
    rest: Annotated[
        float,
        Meta(
            ge=1,
            le=1800,
            description="Seconds between two looks at a zone that nothing awaits, for the alarms of zone-signer check; "
            "its parent is asked at every fourth.",
        ),
    ] = 900.0
    timeout: Annotated[float, Meta(ge=0.1, le=30, description="Seconds for one answer.")] = 3.0
    at_once: Annotated[int, Meta(ge=1, le=1000, description="Questions under way.")] = 50
    resolver: Annotated[
        str,
        Meta(
            description="ADDR or ADDR:PORT of the resolver that finds parents and addresses; empty: those of "
            "/etc/resolv.conf. Let it validate: who finds false servers believes false answers."
        ),
    ] = ""
    port: Annotated[int, Meta(ge=1, le=0xFFFF, description="The port of servers that are known by their names.")] = (
        DNS_PORT
    )
    tcp: Annotated[bool, Meta(description="Ask by TCP alone, where answers by UDP could be forged.")] = False
    private: Annotated[
        bool,
        Meta(description="Tell a parent of new CDS records at loopback and private addresses too (RFC 9859)."),
    ] = False


class Delegation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Homes with servers of their own (`ddns delegation`): how these are looked at, and how they ask for changes."""

    scan_every: Annotated[
        float,
        Meta(
            ge=1,
            le=86400,
            description="Seconds between two visits to the servers of a home that is away: whether they answer, and "
            "what CDS and CSYNC ask for. A NOTIFY hastens the next.",
        ),
    ] = 900.0
    look: Annotated[float, Meta(ge=0.2, le=3600, description="The same while the home is on its way, out or back.")] = (
        60.0
    )
    safety: Annotated[
        float,
        Meta(
            ge=0,
            le=604800,
            description="Seconds that are waited on top of every TTL; longer than servers are left unasked.",
        ),
    ] = 3600.0
    hold: Annotated[
        float,
        Meta(ge=0, le=604800, description="Seconds, at least, between two changes that a home that is away asks for."),
    ] = 300.0
    dark_after: Annotated[
        float,
        Meta(ge=1, le=604800, description="Seconds of silence of all its servers after which a home counts as dark."),
    ] = 3600.0
    back_after: Annotated[
        float,
        Meta(ge=0, le=604800, description="Seconds for which they must be right again before they are led to again."),
    ] = 900.0
    witness: Annotated[
        str,
        Meta(
            description="ADDR or ADDR:PORT of a server elsewhere that answers while our own network is up; nobody is "
            "dark unless it does, or other homes' servers do. Empty: the root's, as [watch] resolver finds them."
        ),
    ] = ""
    private: Annotated[
        bool,
        Meta(description="Take servers at loopback and private addresses too, for networks of one's own."),
    ] = False
    per_child: Annotated[
        int, Meta(ge=0, le=3600, description="NOTIFYs about one home that hasten a visit, an hour (RFC 9859).")
    ] = 6
    per_source: Annotated[
        int, Meta(ge=0, le=1_000_000, description="NOTIFYs from one IPv4 /24 or IPv6 /56 that do, an hour.")
    ] = 60
    validator: Annotated[
        str,
        Meta(
            description="ADDR or ADDR:PORT, on this machine, of a resolver that validates: by it homes without a DS "
            "get their first one (RFC 9615). Empty: they do not."
        ),
    ] = ""
    dsync: Annotated[
        bool,
        Meta(
            description="Publish in zones that have homes where NOTIFY and UPDATE about these go: to [serve] name, "
            "where there is one (DSYNC, RFC 9859)."
        ),
    ] = True
    dsync_update: Annotated[
        int,
        Meta(
            ge=0,
            le=255,
            description="The number of the scheme UPDATE in these records, which is a draft's still; 0: none is "
            "published.",
        ),
    ] = 2
    copy_mib: Annotated[
        int, Meta(ge=1, le=1024, description="MiB of the last copy of a home's zone, at most (`continuity copy`).")
    ] = 16


class Refusals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The journal of refusals, which `ddns explain` reads."""

    keep: Annotated[int, Meta(ge=0, description="Refusals kept, the newest ones; 0 keeps no journal.")] = 100_000
    days: Annotated[int, Meta(ge=1, le=3650, description="Days after which a refusal is forgotten.")] = 30
    octets: Annotated[
        int, Meta(ge=0, le=65535, description="The longest update that is kept whole, so that it can be judged again.")
    ] = 4096
    rate: Annotated[
        float, Meta(gt=0, le=1000, description="Refusals of enrolled keys that one worker writes a second.")
    ] = 20.0
    strangers: Annotated[
        float, Meta(gt=0, le=1000, description="Refusals of strangers that one worker writes a second; others count.")
    ] = 1.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings; each field is a table of the file."""

    serve: Serve = Serve()
    database: Database = Database()
    signer: Signer = Signer()
    compact: Compact = Compact()
    cache: Cache = Cache()
    tcp: Tcp = Tcp()
    tls: Tls = Tls()
    https: Https = Https()
    quic: Quic = Quic()
    web: Web = Web()
    enrol: Enrol = Enrol()
    update: Update = Update()
    lease: Lease = Lease()
    dane: Dane = Dane()
    flood: Flood = Flood()
    sig0: Sig0 = Sig0()
    refusals: Refusals = Refusals()
    transfer: Transfer = Transfer()
    watch: Watch = Watch()
    delegation: Delegation = Delegation()
    tsig: Tsig = Tsig()
    edns: Edns = Edns()
    rrl: Rrl = Rrl()


def load(path: Path | None) -> Settings:
    """Return the settings of the file *path*, or the defaults, with the number of workers decided.

    Raises `BadSettings`.
    """
    if path is None:
        settings = Settings()
    else:
        try:
            octets = path.read_bytes()
        except OSError as error:
            raise BadSettings(f"the settings cannot be read from {path}: {error.strerror or error}") from None
        settings = parse(octets, str(path))
    workers = settings.serve.workers or min(len(os.sched_getaffinity(0)), _USUAL_WORKERS)
    return msgspec.structs.replace(settings, serve=msgspec.structs.replace(settings.serve, workers=workers))


def parse(octets: bytes, filename: str) -> Settings:
    """Return the settings that the TOML *octets* of *filename* say. Raises `BadSettings`."""
    try:
        settings = tomlfile.parse(octets, filename, Settings)
    except tomlfile.BadToml as error:
        raise BadSettings(str(error)) from None
    for key, text in (("[serve] name", settings.serve.name), ("[edns] report", settings.edns.report)):
        try:
            names.from_text(text or ".")
        except names.BadName as error:
            raise BadSettings(f"{filename}: {key}: {error}") from None
    for text in settings.transfer.notify_from:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise BadSettings(f"{filename}: [transfer] notify_from: {text!r} is no address") from None
    for key, text in (
        ("[watch] resolver", settings.watch.resolver),
        ("[delegation] witness", settings.delegation.witness),
        ("[delegation] validator", settings.delegation.validator),
    ):
        if text:
            try:
                host, _port = address(text)
            except ValueError as error:
                raise BadSettings(f"{filename}: {key}: {error}") from None
            if key == "[delegation] validator" and not ipaddress.ip_address(host).is_loopback:
                raise BadSettings(
                    f"{filename}: {key}: {host} is not on this machine; what it says is believed, so let it be at "
                    "127.0.0.1 or [::1]"
                )
    if settings.delegation.scan_every > settings.delegation.dark_after:
        raise BadSettings(f"{filename}: [delegation] scan_every must not be longer than dark_after")
    if settings.watch.fast > settings.watch.every:
        raise BadSettings(f"{filename}: [watch] fast must not be longer than every")
    for text in settings.rrl.exempt:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise BadSettings(f"{filename}: [rrl] exempt: {text!r} is no network; write 192.0.2.0/24") from None
    lease = settings.lease
    for low, usual, high in (("minimum", "default", "maximum"), ("key_minimum", "key_default", "key_maximum")):
        if not getattr(lease, low) <= getattr(lease, usual) <= getattr(lease, high):
            raise BadSettings(f"{filename}: [lease] {usual} must lie between {low} and {high}")
    listens = [
        (f"[{table}] listen", getattr(settings, table).listen) for table in ("serve", "tls", "https", "quic", "web")
    ]
    for key, texts in (*listens, ("[web] devices", settings.web.devices)):
        for text in texts:
            try:
                address(text)
            except ValueError as error:
                raise BadSettings(f"{filename}: {key}: {error}") from None
    if bool(settings.tls.certificate) != bool(settings.tls.key):
        raise BadSettings(f"{filename}: [tls] certificate and key belong together; give both or neither")
    return settings


def address(text: str, usual: int = DNS_PORT) -> tuple[str, int]:
    """Read ADDR:PORT, [ADDR]:PORT, or an address alone, which means the port *usual*. Raises `ValueError`."""
    host, port = text, str(usual)
    if bracketed := re.fullmatch(r"\[([^]]*:[^]]*)](?::(.*))?", text):
        host, port = bracketed[1], port if bracketed[2] is None else bracketed[2]
    elif text.count(":") == 1:
        host, port = text.split(":")
    try:
        ipaddress.ip_address(host)
        number = int(port) if re.fullmatch("[0-9]{1,5}", port) else -1
    except ValueError:
        number = -1
    if not 0 <= number <= 0xFFFF:
        raise ValueError(f"{text!r} is no address to listen on; write 192.0.2.1:53 or [2001:db8::1]:53")
    return host, number


def address_text(where: tuple[str, int]) -> str:
    """Return an address and port as `address` reads them."""
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def to_toml(settings: Settings) -> str:
    """Return *settings* as an annotated TOML file that `parse` reads."""
    out = [
        "# The settings of `ddns serve --config FILE`. Every value here is the default: keep what you change.",
        "# `ddns config check FILE` says whether a file is good, `ddns config show --config FILE` what holds.",
    ]
    for table in settings.__struct_fields__:
        value = getattr(settings, table)
        out += ["", *_comment(type(value).__doc__ or ""), f"[{table}]"]
        hints = get_type_hints(type(value), include_extras=True)
        for field in value.__struct_fields__:
            described = next(one.description or "" for one in hints[field].__metadata__ if isinstance(one, Meta))
            out += [*_comment(described), f"{field} = {json.dumps(getattr(value, field))}"]
    return "\n".join(out) + "\n"


def _comment(sentence: str) -> list[str]:
    lines = [""]
    for word in sentence.split():
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] += f" {word}"
    return [f"#{line}" for line in lines]
