"""What an operator asked for and cannot have."""

from __future__ import annotations


class CannotDo(Exception):
    """A command that cannot be done; the message is one sentence that names the place and the cure."""

    exit_status = 1


class ThereAlready(CannotDo):
    """What is asked for is there already, and there can be only one."""
