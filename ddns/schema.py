"""The database's schema: brought up to date, or checked, before anything else touches it.

Law: refuse to start rather than guess. A schema that is missing, older or newer than this program is
refused in one sentence; only `upgrade` changes it. The check is one SELECT: alembic and SQLAlchemy are imported
where there is something to do.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import psycopg

from ddns.postgres import DatabaseProblem

HEAD = "0018"  # the newest revision in migrations/versions
OLDEST_POSTGRES = 15
ROLES = ("ddns_server", "zone_signer", "ddns_admin", "ddns_web")


class SchemaProblem(DatabaseProblem):
    """A database that this program cannot work with; the message names the cure."""


def upgrade(dsn: str, revision: str = "head") -> None:
    """Bring the database of *dsn* to *revision*: usually the newest, where it often is already.

    Any number of processes may call this at once. Raises `SchemaProblem`.
    """
    with _connection(dsn) as conn:
        found = _revision(conn)
        if revision == "head":
            if found == HEAD:
                return
            if found is not None and found not in _known():
                raise _newer(conn, found)
        _may_migrate(conn)
    _migrate(dsn, revision, downwards=False)


def downgrade(dsn: str, revision: str = "base") -> None:
    """Take the database of *dsn* back to *revision*; `base` takes every table with it."""
    _migrate(dsn, revision, downwards=True)


def check(dsn: str) -> None:
    """Return where the database of *dsn* has this program's schema. Raises `SchemaProblem` elsewhere."""
    with _connection(dsn) as conn:
        found = _revision(conn)
        if found == HEAD:
            return
        where = _where(conn)
        if found is None:
            raise SchemaProblem(f"{where} has no tables of ours yet: start `ddns serve` on it once to make them")
        if found in _known():
            raise SchemaProblem(
                f"{where} has the older schema {found}, and this program needs {HEAD}: "
                "restart `ddns serve`, which brings it up to date"
            )
        raise _newer(conn, found)


def _connection(dsn: str) -> psycopg.Connection[Any]:
    try:
        conn = psycopg.connect(dsn, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise SchemaProblem(f"the database is out of reach: {_sentence(error)}") from None
    except psycopg.ProgrammingError as error:
        raise SchemaProblem(f"the DSN does not parse: {_sentence(error)}") from None
    version = conn.info.server_version // 10000
    if version < OLDEST_POSTGRES:
        conn.close()
        raise SchemaProblem(f"the database is PostgreSQL {version}, and {OLDEST_POSTGRES} is the oldest that works")
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        where = _where(conn)
        conn.close()
        raise SchemaProblem(f"{where} has the encoding {encoding}: make it anew with ENCODING 'UTF8'")
    return conn


def _revision(conn: psycopg.Connection[Any]) -> str | None:
    try:
        row = conn.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.errors.InsufficientPrivilege:
        raise SchemaProblem(
            f"the user {conn.info.user} may not read {_where(conn)}: "
            f"connect as one of {', '.join(ROLES)} or as its owner"
        ) from None
    return str(row[0]) if row else None


def _where(conn: psycopg.Connection[Any]) -> str:
    return f"the database {conn.info.dbname}"


def _newer(conn: psycopg.Connection[Any], found: str) -> SchemaProblem:
    return SchemaProblem(
        f"{_where(conn)} has the schema {found}, which is newer than this program's {HEAD}: update this program"
    )


def _known() -> set[str]:
    """Return the revisions that this program has migrations for."""
    return {path.name.split("_", 1)[0] for path in (_migrations() / "versions").glob("[0-9]*_*.py")}


def _migrations() -> Path:
    found = importlib.util.find_spec("ddns.migrations")
    if found is not None and found.submodule_search_locations:
        return Path(found.submodule_search_locations[0])
    beside = Path(__file__).parent.parent / "migrations"  # a checkout that is run as it lies
    if (beside / "env.py").is_file():
        return beside
    raise SchemaProblem("this installation lacks its migrations: install the package again")


def _may_migrate(conn: psycopg.Connection[Any]) -> None:
    """Refuse a user who lacks the rights that the migrations need, with the cure as SQL."""
    user = conn.info.user
    quoted = _one(conn, "SELECT quote_ident(current_user)")
    if not _one(conn, "SELECT has_schema_privilege(current_schema(), 'CREATE')"):
        raise SchemaProblem(
            f"the user {user} may not make tables in {_where(conn)}: as its owner or a superuser, "
            f"run GRANT CREATE ON SCHEMA public TO {quoted};"
        )
    powers = conn.execute("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user").fetchone()
    if powers is None or powers[0]:
        return
    present = {row[0] for row in conn.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(ROLES),))}
    needed = "SET" if conn.info.server_version >= 160000 else "MEMBER"
    cures = [f"CREATE ROLE {role} LOGIN;" for role in ROLES if role not in present and not powers[1]]
    # Whoever may create roles may grant what they create; on PostgreSQL 15 any role at all.
    untaken = [
        role
        for role in ROLES
        if (role in present and not _one(conn, "SELECT pg_has_role(%s, %s)", role, needed) and not _grants(conn, role))
        or (role not in present and not powers[1])
    ]
    if untaken:
        cures.append(f"GRANT {', '.join(untaken)} TO {quoted};")
    if cures:
        what = "create the roles" if len(cures) > 1 else "take the roles"
        raise SchemaProblem(
            f"the user {user} may not {what} {', '.join(untaken)} that this service runs as: as a superuser, run "
            + " ".join(cures)
        )


def _grants(conn: psycopg.Connection[Any], role: str) -> bool:
    """Tell whether the user may grant *role* to itself."""
    if conn.info.server_version < 160000:
        return bool(_one(conn, "SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user"))
    return bool(_one(conn, "SELECT pg_has_role(%s, 'MEMBER WITH ADMIN OPTION')", role))


def _one(conn: psycopg.Connection[Any], query: str, *parameters: str) -> Any:
    row = conn.execute(query, parameters or None).fetchone()
    assert row is not None
    return row[0]


def _migrate(dsn: str, revision: str, *, downwards: bool) -> None:
    """Run alembic on a connection of our own (its URL would not carry every libpq string)."""
    import sqlalchemy  # noqa: PLC0415 - a second of imports, needed only here
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=sqlalchemy.pool.NullPool
    )
    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            if downwards:
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
    except (psycopg.Error, sqlalchemy.exc.DBAPIError) as error:
        reason = getattr(error, "orig", None) or error
        raise SchemaProblem(f"the schema could not be brought to {revision}: {_sentence(reason)}") from error


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split())
