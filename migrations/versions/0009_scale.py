"""What a million zones need."""

from ddns.migrations import execute

revision = "0009"
down_revision = "0008"

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
