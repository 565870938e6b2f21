"""What the tests on a real Postgres share."""

from __future__ import annotations

import pytest
from people import Village
from waiting import wait_for


@pytest.fixture
def village(admin, desk_conn):
    """A registry in which people may have homes."""
    return wait_for(Village(admin, desk_conn).begin())
