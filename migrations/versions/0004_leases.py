"""Leases of records and keys (RFC 9664), the clock that ends them, and who may register services (RFC 9665)."""

from ddns.migrations import execute

revision = "0004"
down_revision = "0003"

UPGRADE = """
CREATE TABLE leases (
    zone    bigint NOT NULL CONSTRAINT lease_in_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    owner   bytea NOT NULL,
    type    integer NOT NULL CONSTRAINT lease_with_impossible_type CHECK (type BETWEEN 1 AND 65535),
    digest  bytea NOT NULL CONSTRAINT lease_of_no_digest CHECK (length(digest) = 32),
    rdata   bytea NOT NULL,
    seconds bigint NOT NULL CONSTRAINT lease_of_no_time CHECK (seconds > 0),
    ends_at timestamptz NOT NULL,
    host    bytea,
    CONSTRAINT lease_twice PRIMARY KEY (zone, owner, type, digest)
) WITH (fillfactor = 70);
CREATE INDEX leases_ending ON leases (ends_at);
CREATE INDEX leases_of_hosts ON leases (zone, host) WHERE host IS NOT NULL;
COMMENT ON TABLE leases IS 'which records go away by themselves, and when; a record without a row stays';
COMMENT ON COLUMN leases.digest IS 'SHA-256 of rdata: an index holds no 64 KiB';
COMMENT ON COLUMN leases.seconds IS 'how long it was granted for the last time';
COMMENT ON COLUMN leases.host IS 'the host whose registration (RFC 9665) the record belongs to';

CREATE TABLE lease_clock (
    one         boolean PRIMARY KEY DEFAULT true CONSTRAINT lease_clock_twice CHECK (one),
    seen_at     timestamptz NOT NULL DEFAULT now(),
    expire_from timestamptz NOT NULL DEFAULT now()
);
INSERT INTO lease_clock DEFAULT VALUES;
COMMENT ON COLUMN lease_clock.seen_at IS 'when a worker was last able to take updates';
COMMENT ON COLUMN lease_clock.expire_from IS 'after an outage nothing expires before this';

ALTER TABLE requests ADD COLUMN lease bytea NOT NULL DEFAULT '';
COMMENT ON COLUMN requests.lease IS 'the Update Lease option that was answered';

ALTER TABLE credentials DROP CONSTRAINT credential_of_unknown_kind;
ALTER TABLE credentials ADD CONSTRAINT credential_of_unknown_kind CHECK (kind IN ('tsig', 'sig0', 'srp'));
CREATE UNIQUE INDEX srp_policy_twice ON credentials (name) WHERE kind = 'srp' AND revoked_at IS NULL;
COMMENT ON COLUMN credentials.public IS 'the RDATA of a SIG(0) key''s KEY; for srp the networks of hosts, as text';

GRANT SELECT, INSERT, UPDATE, DELETE ON leases TO ddns_server;
GRANT SELECT, UPDATE ON lease_clock TO ddns_server;
GRANT SELECT, UPDATE (ends_at), DELETE ON leases TO ddns_admin;
GRANT SELECT ON lease_clock TO ddns_admin;
"""

DOWNGRADE = """
DELETE FROM credentials WHERE kind = 'srp';
DROP INDEX srp_policy_twice;
ALTER TABLE credentials DROP CONSTRAINT credential_of_unknown_kind;
ALTER TABLE credentials ADD CONSTRAINT credential_of_unknown_kind CHECK (kind IN ('tsig', 'sig0'));
COMMENT ON COLUMN credentials.public IS 'the RDATA of a SIG(0) key''s KEY record';
ALTER TABLE requests DROP COLUMN lease;
DROP TABLE lease_clock, leases;
"""


def upgrade() -> None:
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
