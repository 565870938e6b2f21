"""What a bulk import remembers."""

from ddns.migrations import execute

revision = "0008"
down_revision = "0007"

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
