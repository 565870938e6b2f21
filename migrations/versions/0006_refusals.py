"""The journal of refusals: what was decided, and why."""

from ddns.migrations import execute

revision = "0006"
down_revision = "0005"

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
