"""Leases of names and keys (RFC 9664)."""

from ddns.migrations import execute

revision = "0004"
down_revision = "0003"

UPGRADE = """
SELECT
"""

DOWNGRADE = """
SELECT
"""


def upgrade() -> None:
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
