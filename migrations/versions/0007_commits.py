"""The write of a batch of updates."""

from ddns.migrations import execute

revision = "0007"
down_revision = "0006"

UPGRADE = """
SELECT 1;
"""

DOWNGRADE = """
SELECT 1;
"""


def upgrade() -> None:
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
