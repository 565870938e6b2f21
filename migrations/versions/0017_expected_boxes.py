"""Bonds that vendors sign, the desk's say about bonds and verifiers, and the boxes that a tenant expects.

A bond that a vendor has signed for holds no more than an operator has accepted: `models_most` and `until_most`. Neither
an expected box nor a bond gives a right by itself.
"""

from ddns.migrations import execute
from ddns.migrations.walls import OWN, walled

revision = "0017"
down_revision = "0016"

UPGRADE = """
ALTER TABLE bonds
    ADD COLUMN vendor_key  bytea,
    ADD COLUMN statement   bytea,
    ADD COLUMN said_at     timestamptz,
    ADD COLUMN models_most text[] NOT NULL DEFAULT '{}',
    ADD COLUMN until_most  timestamptz,
    ADD CONSTRAINT bond_signed_in_part
        CHECK (num_nulls(vendor_key, statement, said_at) IN (0, 3)),
    ADD CONSTRAINT bond_wider_than_accepted
        CHECK ((models_most = '{}' OR (models <> '{}' AND models <@ models_most))
               AND (until_most IS NULL OR (until IS NOT NULL AND until <= until_most)));
CREATE UNIQUE INDEX vendor_key_bonded_twice ON bonds (coalesce(tenant, 0), vendor_key) WHERE withdrawn_at IS NULL;
COMMENT ON COLUMN bonds.vendor_key IS 'JWK of the key that signed for it, and may narrow or withdraw it; NULL: none';
COMMENT ON COLUMN bonds.statement IS 'the last statement of that key, as it was signed';
COMMENT ON COLUMN bonds.said_at IS 'when that was signed, as it says; an older one is not taken any more';
COMMENT ON COLUMN bonds.models_most IS 'the models that an operator accepted, none: all; no statement goes beyond';
COMMENT ON COLUMN bonds.until_most IS 'until when an operator accepted it; NULL: without an end';

GRANT INSERT, UPDATE (models, idevid_anchors, masa_keys, masa_url, masa_anchors, until, statement, said_at, models_most,
                      until_most, assurance, withdrawn_at, why) ON bonds TO ddns_web;
GRANT INSERT, UPDATE (withdrawn_at, why) ON verifiers TO ddns_web;

CREATE TABLE expected_devices (
    tenant   bigint NOT NULL DEFAULT ddns_tenant() CONSTRAINT box_expected_by_no_tenant REFERENCES tenants (id),
    digest   bytea NOT NULL,
    vendor   text NOT NULL DEFAULT '',
    kind     text NOT NULL CONSTRAINT box_expected_by_unknown_kind CHECK (kind IN ('serial', 'ueid')),
    label    text NOT NULL DEFAULT '',
    owner    uuid,
    note     text NOT NULL DEFAULT '',
    added_at timestamptz NOT NULL,
    came_at  timestamptz,
    CONSTRAINT box_expected_twice PRIMARY KEY (tenant, digest, vendor),
    CONSTRAINT box_expected_for_another_tenants_owner FOREIGN KEY (owner, tenant) REFERENCES owners (id, tenant)
        ON DELETE SET NULL (owner)
);
COMMENT ON TABLE expected_devices IS 'an inventory: it gives no right, and names no box but to who has proved to be it';
COMMENT ON COLUMN expected_devices.digest IS 'HMAC of the serial number or UEID under a key of the registry''s';
COMMENT ON COLUMN expected_devices.vendor IS 'whose bond the box has to come by; empty: any';
COMMENT ON COLUMN expected_devices.came_at IS 'when it became a home here first; its label is used up then';
GRANT SELECT, INSERT, UPDATE, DELETE ON expected_devices TO ddns_web, ddns_admin;

ALTER TABLE home_policies ADD COLUMN expected_only boolean NOT NULL DEFAULT false;
"""

REGISTRYS_OWN = f"{OWN} OR (tenant IS NULL AND ddns_seen() = 1)"  # what is for all, the registry itself says
CHANGED = """
DROP POLICY made_by_its_tenant ON {table};
DROP POLICY changed_by_its_tenant ON {table};
CREATE POLICY made_by_its_tenant ON {table} FOR INSERT TO ddns_web WITH CHECK ({make});
CREATE POLICY changed_by_its_tenant ON {table} FOR UPDATE TO ddns_web USING ({change}) WITH CHECK ({change});
"""

DOWNGRADE = """
ALTER TABLE home_policies DROP COLUMN expected_only;
DROP TABLE expected_devices;
REVOKE INSERT, UPDATE ON bonds, verifiers FROM ddns_web;
REVOKE UPDATE (models, idevid_anchors, masa_keys, masa_url, masa_anchors, until, statement, said_at, models_most,
               until_most, assurance, withdrawn_at, why) ON bonds FROM ddns_web;
REVOKE UPDATE (withdrawn_at, why) ON verifiers FROM ddns_web;
DROP INDEX vendor_key_bonded_twice;
ALTER TABLE bonds
    DROP CONSTRAINT bond_wider_than_accepted,
    DROP CONSTRAINT bond_signed_in_part,
    DROP COLUMN vendor_key, DROP COLUMN statement, DROP COLUMN said_at, DROP COLUMN models_most, DROP COLUMN until_most;
"""


def upgrade() -> None:
    execute(UPGRADE)
    execute(walled("expected_devices"))
    for table in ("bonds", "verifiers"):
        execute(CHANGED.format(table=table, make=REGISTRYS_OWN, change=REGISTRYS_OWN))


def downgrade() -> None:
    for table in ("bonds", "verifiers"):
        execute(CHANGED.format(table=table, make=OWN, change=f"tenant IS NULL OR {OWN}"))
    execute(DOWNGRADE)
