"""A running service with a desk, and homes in it, for every arrow of docs/explanation/threat-model.md."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "scenario"))  # the services that scenarios run

from desk import Desk
from townspeople import Owned


@pytest.fixture(scope="session")
def desk():
    """One desk for all arrows: none of them may change what is another's."""
    with Desk().running() as desk:
        yield desk


@pytest.fixture(scope="session")
def homes(desk):
    """What makes a home with an owner, by its label."""
    return lambda label: Owned(desk, label)
