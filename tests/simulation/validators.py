"""Other people's validators, asked about simulated zones at a simulated time: each says secure, insecure or bogus.

unbound-host and ldns-verify-zone are told the time; delv and kzonecheck are made to believe it (`faked`). The
project's own `ddns.verifier.chain`, which shares no code with the signer, is asked as well.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faked
from serving import ADDRESS, Answers
from tools import need

from ddns.verifier import chain

PATIENCE = 30  # seconds of real time for a validator
SECURE, INSECURE = "secure", "insecure"
# Loopback only, and no root to ask: whatever is not ours is not found.
UNBOUND = """
server:
  directory: "{folder}"
  chroot: ""
  username: ""
  use-syslog: no
  do-not-query-localhost: no
  do-ip6: no
  module-config: "validator iterator"
  harden-algo-downgrade: yes
  val-override-date: "{date}"
  trust-anchor: "{anchor}"
  local-zone: "test." nodefault
"""


class Validators:
    """The validators, which trust *anchor*, a DS record, for zone *top*, and work in *folder*."""

    def __init__(self, folder: Path, top: str, anchor: str) -> None:
        self.folder = folder
        self.top = top
        self.anchor = anchor
        self.asked: dict[str, int] = {}
        self._shift = faked.build(folder)
        words = anchor.split()
        self._trusted = chain.Anchor.from_text(top, " ".join(words[2:]))
        tag, algorithm, kind, *digest = words[2:]
        (folder / "anchors").write_text(
            f'trust-anchors {{ "{top}" static-ds {tag} {algorithm} {kind} "{"".join(digest)}"; }};\n'
        )

    def _run(self, words: Sequence[object], env: dict[str, str] | None = None) -> str:
        command = [str(word) for word in words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=env, cwd=self.folder
        )
        return done.stdout + done.stderr + f"exit status {done.returncode}\n"

    def _count(self, name: str) -> None:
        self.asked[name] = self.asked.get(name, 0) + 1

    # Whole zones, from a file

    def ldns(self, origin: str, file: Path, now: int) -> str:
        """Have ldns-verify-zone look at all signatures of a zone and its chain of denials."""
        self._count("ldns-verify-zone")
        said = self._run([need("ldns-verify-zone"), "-V", "1", "-t", _stamp(now), file])
        return SECURE if said.endswith("exit status 0\n") else f"bogus: ldns-verify-zone of {origin}: {said}"

    def knot(self, origin: str, file: Path, now: int) -> str:
        """Have kzonecheck do the same."""
        self._count("kzonecheck")
        said = self._run([need("kzonecheck"), "-d", "on", "-o", origin, file], env=faked.faketime(now))
        return SECURE if said.endswith("exit status 0\n") else f"bogus: kzonecheck of {origin}: {said}"

    # Single questions, from the anchor down

    def unbound(self, copies: Sequence[Answers], zones: Sequence[str], name: str, rdtype: str, now: int) -> str:
        """Have a resolver without any cache find *name*; it asks whichever of *copies* it likes."""
        self._count("unbound-host")
        lines = [UNBOUND.format(folder=self.folder, date=_stamp(now), anchor=self.anchor)]
        for zone in [*zones, "."]:
            lines += ["stub-zone:", f'  name: "{zone}"', "  stub-prime: no"]
            lines += [f"  stub-addr: {ADDRESS}@{copy.port}" for copy in (copies if zone != "." else ())]
            lines += [f"  stub-addr: {ADDRESS}@9"] if zone == "." else []
        file = self.folder / "unbound.conf"
        file.write_text("\n".join(lines) + "\n")
        said = self._run([need("unbound-host"), "-C", file, "-v", "-t", rdtype, name])
        if "BOGUS" in said or "SERVFAIL" in said:
            return f"bogus: unbound-host of {name} {rdtype}: {said}"
        return SECURE if "(secure)" in said else INSECURE if "(insecure)" in said else f"bogus: {said}"

    def delv(self, copy: Answers, name: str, rdtype: str, now: int) -> str:
        """Have BIND's validator do the same at one server."""
        self._count("delv")
        words = [f"@{ADDRESS}", "-p", copy.port, "-a", self.folder / "anchors", f"+root={self.top}", "-4", name, rdtype]
        said = self._run([need("delv"), *words], env=faked.shifted(self._shift, now))
        if "fully validated" in said:
            return SECURE
        return INSECURE if "unsigned answer" in said else f"bogus: delv of {name} {rdtype}: {said}"

    def chain(self, copy: Answers, name: str, rdtype: str, now: int) -> str:
        """Have the project's own verifier do the same; it cannot tell what is insecure from what lacks a signature."""
        self._count("ddns.verifier")
        found = chain.validate(chain.Server(ADDRESS, copy.port, 20.0), self._trusted, name, rdtype, now=now)
        if isinstance(found, chain.Proof):
            return SECURE
        unsigned = found.why is chain.Why.UNSIGNED
        return INSECURE if unsigned else f"bogus: the verifier of {name} {rdtype}: {found.sentence}"


Judge = Callable[[], str]


def _stamp(now: int) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
