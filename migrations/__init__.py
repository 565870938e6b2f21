"""The database's schema, step by step: alembic revisions in raw SQL, run by `ddns.schema`."""

from alembic import op


def execute(sql: str) -> None:
    """Run the statements of *sql* as they stand: no placeholder, no escape means anything."""
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(sql)
