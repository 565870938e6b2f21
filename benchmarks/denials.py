"""Time compact denials: denials.py [--names 5000] [--seconds 0.5]. The signer is at a real unix socket, in a thread.

Prints microseconds a denial, the best of five runs, and denials a CPU second: remembered; signed when asked for, by the
signer alone; and all the way, question to answer, one name at a time and 64 together. The kernel's datagrams and the
reactor are not in it; of the signer's CPU time all is, because it is in the same process.
"""

import argparse
import asyncio
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from micro import ORIGIN, UDP, query, zone
from micro import measure as best

from ddns.answer.image import ZoneImage
from ddns.answer.online import NeedSigned, Proofs
from ddns.answer.options import Options
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.dns import names
from ddns.net.denials import AT_ONCE, DenialLimits, Denials, Outcome
from ddns.signing.client import SignerClient
from ddns.store.pool import Pool
from ddns.zone.jobs import Asked, ProofJob
from zone_signer import proving
from zone_signer.keyring import Kept, KeyRing
from zone_signer.plan import whole
from zone_signer.policy import Policy
from zone_signer.records_of_keys import KeyRecords
from zone_signer.service import Service
from zone_signer.sign import carry_out
from zone_signer.signer import Signer
from zone_signer.vault import Vault


class Rows:
    """The keys of one zone, in place of the database."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def keys(self, zones: Sequence[int], now: int) -> Mapping[int, Kept]:  # noqa: ARG002 - its shape
        return dict.fromkeys(zones, self._kept)


class House:
    """A compact zone of *homes* homes, who answers for it, and who signs at *path*."""

    def __init__(self, homes: int, path: Path) -> None:
        vault = Vault(bytes(32))
        key, sealed = vault.make(ORIGIN, 13)
        records = KeyRecords.of_one(key.public, (13, key.tag))
        ring = KeyRing(vault)
        kept = Kept((sealed,), records, "default", 1, 0, "compact")
        plan = whole(ORIGIN, "compact", zone(homes), records, {}, Policy(), int(time.time()))
        shown = carry_out(plan, ring.opened(ORIGIN, kept), Policy(), int(time.time())).added
        table = Table()
        table.install(ZoneImage(1, ORIGIN, 1, shown))
        self.proofs = Proofs(time.time, 1 << 30)
        self.responder = Responder(table, Options(clock=time.time), self.proofs)
        self.signer = Signer(ring, Pool("host=/nowhere", "zone_signer", 1), time.time, Rows(kept))
        self.service = Service(path, self.signer)
        plenty = DenialLimits(1e9, 1e9, 10_000, 30.0)
        self.denials = Denials(SignerClient(path, plenty.wait), self.proofs, plenty)


def fresh() -> Iterator[bytes]:
    """Yield names that nobody has asked for."""
    return (names.from_text(f"n{number:x}.homes.example.") for number in itertools.count())


async def answer(house: House, wanted: Sequence[bytes]) -> None:
    """Answer questions for names that do not exist, together."""

    async def one(name: bytes) -> None:
        message = query(name, 1)
        needed = house.responder.respond(message, UDP)
        assert isinstance(needed, NeedSigned)
        done = asyncio.get_running_loop().create_future()
        house.denials.need(needed, UDP, done.set_result)
        assert await done is Outcome.SIGNED
        assert isinstance(house.responder.respond(message, UDP), bytes)

    await asyncio.gather(*[one(name) for name in wanted])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--names", type=int, default=5000, help="homes in the zone")
    parser.add_argument("--seconds", type=float, default=0.5, help="for one run of one operation")
    wanted = parser.parse_args()
    proving.MOST = 1 << 30  # what is measured is what it costs, not what it may cost
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(House(wanted.names, Path(folder) / "signer.sock"), wanted.seconds))


async def measure(house: House, seconds: float) -> None:
    # The signer's loop has a thread of its own, as it has a process of its own elsewhere.
    there = asyncio.new_event_loop()
    thread = threading.Thread(target=there.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(house.service.start(), there).result()
    absent = fresh()
    known = [next(absent) for _ in range(1000)]
    await answer(house, known)
    questions = itertools.cycle([query(name, 1) for name in known])
    print("| | µs | a CPU second |\n|---|---|---|")
    show("remembered: question to answer", seconds, 1, lambda: house.responder.respond(next(questions), UDP))

    def sign() -> None:
        job = ProofJob(1, ORIGIN, 1, 300, tuple([Asked(next(absent)) for _ in range(AT_ONCE)]))
        (proven,) = house.signer.prover.prove([job])
        assert not proven.error

    show(f"signed: by the signer, {AT_ONCE} together", seconds, AT_ONCE, sign)
    for much in (1, AT_ONCE):
        runs = []
        for _ in range(5):
            count, begin, end = 0, time.process_time(), time.monotonic() + seconds
            while time.monotonic() < end:
                await answer(house, [next(absent) for _ in range(much)])
                count += much
            runs.append((time.process_time() - begin) / count)
        line(f"asked, signed and answered, {much} at a time", min(runs))
    await house.denials.close()
    asyncio.run_coroutine_threadsafe(house.service.close(), there).result()
    there.call_soon_threadsafe(there.stop)
    thread.join()
    there.close()


def show(label: str, seconds: float, much: int, work: Callable[[], object]) -> None:
    line(label, best(work, seconds) / much)


def line(label: str, each: float) -> None:
    print(f"| {label} | {each * 1e6:.1f} | {1 / each:,.0f} |")


if __name__ == "__main__":
    main()
