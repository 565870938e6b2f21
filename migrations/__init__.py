"""The database's schema, step by step: alembic revisions in raw SQL, run by `ddns.schema`."""
