"""Zones after hundreds of random updates, each signed by itself, judged as files by the verifiers of three houses."""

import random
import subprocess
import time

import msgspec
import pytest
from signing import POLICY, Running, add, read, text, validate
from tools import need

from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.store import published

ORIGIN = "shaken.test."
UPDATES = 300
POOL = [
    "www",
    "*",
    "e",
    "d.e",
    "c.d.e",
    "b.c.d.e",
    "*.d.e",
    "_443._tcp.www",
    "n",
    "\\000",
    "x.n",
    "z",
    "a.b.z",
    "h1",
    "h2",
    "h3",
]
CUTS = ["cut", "in.cut.n", "sub.e"]
VERIFIERS = {
    "ldns": lambda file, apex: [need("ldns-verify-zone"), "-V", "1", file],
    "BIND": lambda file, apex: [need("dnssec-verify"), "-q", "-z", "-o", apex, file],
    "Knot": lambda file, apex: [need("kzonecheck"), "-d", "on", "-o", apex, file],
}


def random_change(dice):
    """Return some names with all their records after a random update; names below a cut hold only glue."""
    after = {}
    for _ in range(dice.randrange(1, 4)):
        value = dice.randrange(1, 200)
        if dice.random() < 0.25:
            owner = dice.choice(CUTS)
            lines = (
                [] if dice.random() < 0.4 else [f"{owner} 300 NS ns.{owner}", f"{owner} 300 NS ns{value}.else.test."]
            )
            if lines and dice.random() < 0.5:
                lines.append(f"{owner} 300 DS {value} 13 2 {value:064x}")
            glue = f"ns.{owner}"
            after |= {name(owner): (), name(glue): ()}
            if lines:
                lines.append(f"{glue} 60 A 192.0.2.{value}")
        else:
            owner = dice.choice(POOL)
            kinds = [
                f"{owner} 60 A 192.0.2.{value}",
                f"{owner} 300 AAAA 2001:db8::{value}",
                f'{owner} 60 TXT "{value}" "two words"',
                f"{owner} 60 TLSA 3 1 1 {value:064x}",
                f"{owner} 60 TYPE65281 \\# 1 0{value % 10}",
            ]
            lines = dice.sample(kinds, dice.choice([0, 1, 2, 2, 3]))
            after[name(owner)] = ()
        after |= {one: found for one, found in read(ORIGIN, *lines).items() if one != from_text(ORIGIN)}
    return after


def name(text_of_it):
    return from_text(text_of_it, from_text(ORIGIN))


def judge(shown, folder, apex, verifier):
    """Have *verifier* check the published zone as a master file."""
    file = folder / f"{verifier}.zone"
    file.write_text(text(shown))
    done = subprocess.run(VERIFIERS[verifier](str(file), apex), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("denial", ["nsec3", "nsec"])
@pytest.mark.parametrize("algorithm", [13, 15])
async def test_three_verifiers_accept_a_zone_after_hundreds_of_updates(
    admin, conn, connected, dsn_for, tmp_path, denial, algorithm
):
    lines = ["ns 300 A 192.0.2.53", "www 60 A 192.0.2.1", "b.c.d.e 60 A 192.0.2.2"]
    zone = await add(admin, ORIGIN, *lines, denial=denial, algorithm=algorithm)
    dice = random.Random(f"{denial} {algorithm}")
    async with Running(dsn_for, tmp_path, time.time()) as running:
        await running.worker.sweep(await connected("zone_signer"))
        for number in range(UPDATES):
            await running.update(conn, zone, random_change(dice))
            if number % 50 == 49:
                shown = await published.read_zone(conn, zone)
                for verifier in VERIFIERS:
                    judge(shown, tmp_path, ORIGIN, verifier)

    assert validate(from_text(ORIGIN), shown, now=None) > 30


@pytest.mark.parametrize("denial", ["nsec3", "nsec"])
async def test_names_below_a_dname_are_hidden_as_bind_sees_it(admin, conn, connected, dsn_for, tmp_path, denial):
    """RFC 6672 §2.4; Knot refuses such a zone and ldns does not look at DNAMEs."""
    lines = ["ns 300 A 192.0.2.53", "old 60 DNAME new.test.", "old 60 TXT moved", "below.n 60 A 192.0.2.2"]
    zone = await add(admin, ORIGIN, *lines, denial=denial)
    async with Running(dsn_for, tmp_path, time.time()) as running:
        await running.worker.sweep(await connected("zone_signer"))
        hidden = read(ORIGIN, "a.b.old 60 A 192.0.2.9", "n 60 DNAME new.test.")
        del hidden[from_text(ORIGIN)]
        await running.update(conn, zone, hidden)

    shown = await published.read_zone(conn, zone)
    signed = {one.name: bool(one.sigs) for one in shown if one.type == Type.A}
    assert signed[name("below.n")] is signed[name("a.b.old")] is False
    judge(shown, tmp_path, ORIGIN, "BIND")


@pytest.mark.parametrize("verifier", sorted(VERIFIERS))
async def test_verifiers_accept_a_zone_that_was_renewed(admin, connected, dsn_for, tmp_path, verifier):
    zone = await add(admin, ORIGIN, "ns 300 A 192.0.2.53", *(f"h{number} 60 A 192.0.2.1" for number in range(30)))
    signing = await connected("zone_signer")
    due = POLICY.validity - POLICY.refresh  # whatever the hour's jitter takes from it
    await Running(dsn_for, tmp_path, time.time() - due).worker.sweep(signing)

    done = await Running(dsn_for, tmp_path, time.time()).worker.sweep(signing)

    assert done.published == 1
    judge(await published.read_zone(signing, zone), tmp_path, ORIGIN, verifier)


@pytest.mark.parametrize("verifier", sorted(VERIFIERS))
async def test_the_verifiers_do_notice_what_is_wrong(admin, connected, dsn_for, tmp_path, verifier):
    """A zone in which one signature is cut away is refused: the checks above check something."""
    zone = await add(admin, ORIGIN, "ns 300 A 192.0.2.53", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")
    await Running(dsn_for, tmp_path, time.time()).worker.sweep(signing)
    shown = [
        msgspec.structs.replace(one, sigs=()) if (one.name, one.type) == (name("www"), Type.A) else one
        for one in await published.read_zone(signing, zone)
    ]

    with pytest.raises(AssertionError):
        judge(shown, tmp_path, ORIGIN, verifier)
