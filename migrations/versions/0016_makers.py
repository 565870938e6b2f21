"""Who vouches for boxes: vendors' bonds, verifiers of evidence, what they said of which key, and vouchers.

None of it gives a right by itself, and none of it can take one away: who is enrolled stays.
"""

from ddns.migrations import execute
from ddns.migrations.walls import OWN, walled

revision = "0016"
down_revision = "0015"

UPGRADE = """
CREATE TABLE bonds (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant         bigint CONSTRAINT bond_with_no_tenant REFERENCES tenants (id),
    vendor         text NOT NULL,
    models         text[] NOT NULL DEFAULT '{}',
    idevid_anchors bytea[] NOT NULL,
    masa_keys      bytea[] NOT NULL DEFAULT '{}',
    masa_url       text NOT NULL DEFAULT '',
    masa_anchors   bytea[] NOT NULL DEFAULT '{}',
    assurance      text NOT NULL DEFAULT 'voucher' CONSTRAINT bond_of_unknown_assurance
                   CHECK (assurance IN ('open', 'token', 'qr', 'voucher')),
    since          timestamptz NOT NULL,
    until          timestamptz,
    withdrawn_at   timestamptz,
    why            text NOT NULL DEFAULT '',
    CONSTRAINT bond_withdrawn_without_reason CHECK (withdrawn_at IS NULL OR why <> '')
);
COMMENT ON TABLE bonds IS 'which keys of a vendor may vouch for which models, and no more than that';
COMMENT ON COLUMN bonds.tenant IS 'NULL: for all';

CREATE TABLE verifiers (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       bigint CONSTRAINT verifier_with_no_tenant REFERENCES tenants (id),
    name         text NOT NULL,
    keys         bytea[] NOT NULL,
    anchors      bytea[] NOT NULL DEFAULT '{}',
    rules        bytea NOT NULL,
    valid        bigint NOT NULL DEFAULT 31536000 CONSTRAINT verifier_valid_for_no_time CHECK (valid > 0),
    withdrawn_at timestamptz,
    why          text NOT NULL DEFAULT '',
    CONSTRAINT verifier_withdrawn_without_reason CHECK (withdrawn_at IS NULL OR why <> '')
);
CREATE UNIQUE INDEX verifier_twice ON verifiers (coalesce(tenant, 0), name) WHERE withdrawn_at IS NULL;
COMMENT ON COLUMN verifiers.rules IS 'JSON: what a claim must say, and the assurance that it gives';
COMMENT ON COLUMN verifiers.valid IS 'seconds for which a result holds';

CREATE TABLE appraisals (
    credential bigint CONSTRAINT appraisal_twice PRIMARY KEY
               CONSTRAINT appraisal_of_no_credential REFERENCES credentials (id) ON DELETE CASCADE,
    method     text NOT NULL,
    verifier   bigint CONSTRAINT appraisal_by_no_verifier REFERENCES verifiers (id),
    bond       bigint CONSTRAINT appraisal_by_no_bond REFERENCES bonds (id),
    evidence   bytea NOT NULL,
    assurance  text NOT NULL,
    at         timestamptz NOT NULL,
    until      timestamptz
);
CREATE INDEX appraisals_that_end ON appraisals (until) WHERE until IS NOT NULL;

CREATE TABLE vouchers (
    tenant  bigint NOT NULL DEFAULT ddns_tenant() CONSTRAINT voucher_for_no_tenant REFERENCES tenants (id),
    idevid  bytea NOT NULL,
    bond    bigint NOT NULL CONSTRAINT voucher_without_bond REFERENCES bonds (id),
    digest  bytea NOT NULL,
    request bytea NOT NULL,
    voucher bytea NOT NULL,
    media   text NOT NULL,
    audit   bytea NOT NULL DEFAULT '',
    at      timestamptz NOT NULL,
    status  text NOT NULL DEFAULT '',
    CONSTRAINT voucher_twice PRIMARY KEY (tenant, idevid)
);
COMMENT ON TABLE vouchers IS 'the last voucher of each box that asked for one';
COMMENT ON COLUMN vouchers.idevid IS 'SHA-256 of the certificate of the box';
COMMENT ON COLUMN vouchers.digest IS 'SHA-256 of the request, which is answered the same when it comes again';
COMMENT ON COLUMN vouchers.audit IS 'the log that the maker keeps of the box, JSON, as it was answered';
ALTER TABLE devices ADD CONSTRAINT device_of_no_bond FOREIGN KEY (bond) REFERENCES bonds (id);

GRANT SELECT, INSERT, UPDATE ON bonds, verifiers TO ddns_admin;
GRANT SELECT ON appraisals, vouchers TO ddns_admin;
GRANT UPDATE ON appraisals TO ddns_admin;
GRANT SELECT ON bonds, verifiers TO ddns_web;
GRANT SELECT, INSERT, UPDATE (until, assurance) ON appraisals TO ddns_web;
GRANT SELECT, INSERT, UPDATE (bond, digest, request, voucher, media, audit, at, status) ON vouchers TO ddns_web;
"""

SHARED = f"tenant IS NULL OR {OWN}"
WALLS = (
    ("bonds", SHARED, OWN),
    ("verifiers", SHARED, OWN),
    ("appraisals", "EXISTS (SELECT FROM credentials WHERE credentials.id = appraisals.credential)"),
    ("vouchers", OWN),
)

DOWNGRADE = """
ALTER TABLE devices DROP CONSTRAINT device_of_no_bond;
DROP TABLE vouchers, appraisals, verifiers, bonds;
"""


def upgrade() -> None:
    execute(UPGRADE)
    for table, *rows in WALLS:
        execute(walled(table, *rows))


def downgrade() -> None:
    execute(DOWNGRADE)
