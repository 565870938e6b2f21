"""Who may transfer which zone, and whom to notify."""

from ddns.migrations import execute

revision = "0005"
down_revision = "0004"

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
