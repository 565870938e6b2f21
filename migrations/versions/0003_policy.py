"""What grants say beyond a subtree and types: rules, counts, assurance, denials with a reason."""

from ddns.migrations import execute

revision = "0003"
down_revision = "0002"

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
