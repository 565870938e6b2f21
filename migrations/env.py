"""Run the migrations on the connection that `ddns.schema` hands in: one process at a time, a transaction each."""

from __future__ import annotations

from alembic import context

ADVISORY_LOCK = 0x64646E73  # "ddns": whoever holds it is migrating this database
LOCK_TIMEOUT = "10s"  # for a table that a running service holds; better to fail than to stand in its way


def run() -> None:
    """Bring the schema to the revision that was asked for."""
    connection = context.config.attributes["connection"]
    # Waiting for another process that migrates is right, however long it takes: it does our work.
    connection.exec_driver_sql(f"SELECT pg_advisory_lock({ADVISORY_LOCK})")
    connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    # Functions keep the path with which they are made. Who may call one that has its owner's rights may also make
    # temporary tables, and whatever runs when they are written: those are looked at last, and not first.
    connection.exec_driver_sql("SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', false)")
    connection.commit()
    try:
        context.configure(connection=connection, target_metadata=None, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})")
        connection.exec_driver_sql("RESET lock_timeout")
        connection.exec_driver_sql("RESET search_path")
        connection.commit()


run()
