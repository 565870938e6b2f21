"""Rows of the catalogue: policies, labels, quotas and tenants."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.POLICY,
        (
            "label-not-allowed", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the home's label is none of the DNS or of IDNA 2008, or not one that this registry takes",
            "choose another one; the sentence says what is wrong with it",
        ),
        (
            "label-mixed-scripts", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the home's label mixes letters of several scripts",
            "write all of it in one",
        ),
        (
            "label-special", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the home would be called like something else that people or programs know, such as `www`, or nearly so",
            "choose another one",
        ),
        (
            "label-unavailable", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the home's name is taken, kept back, at rest, or too like another one; which of these is not said",
            "choose another one",
        ),
        (
            "method-not-allowed-here", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "homes of this tenant in this zone do not enrol in that way",
            "enrol in a way that they do; `ddns policy show ZONE` has them",
        ),
        (
            "owner-key-needed", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "homes of this tenant in this zone have an owner from the beginning",
            "have the owner's key sign beside the gateway's",
        ),
        (
            "zone-not-the-tenants", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the tenant may not have homes in this zone",
            "`ddns tenant allow NAME ZONE`",
        ),
        (
            "tenant-suspended", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the tenant is suspended: its homes go on, and it takes no new ones",
            "`ddns tenant release NAME`, once the reason is gone",
        ),
        (
            "home-is-full", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the update would leave the home with more names, or more records, than its policy lets it have",
            "delete some in the same update, or ask the registry; `names_most`, `records_most`",
        ),
        (
            "quota-reached", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the tenant has as many homes, invitations or new homes a day as it may have",
            "`ddns tenant quota NAME`, or wait until the day is over",
        ),
    ),
    *rows(
        Chapter.PERMISSION,
        (
            "address-not-allowed", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a rule denies addresses of this network, however much the key was granted",
            "publish another address; `ddns grant show NUMBER` says which networks",
        ),
    ),
)  # fmt: skip
