"""${message}."""

from ddns.migrations import execute

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}

UPGRADE = """
"""

DOWNGRADE = """
"""


def upgrade() -> None:
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
