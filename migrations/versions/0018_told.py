"""What people are told once and no more, how much a home may hold, and codes by which a home without an owner gets one.

Thresholds tell operators and hold nobody. A home's bounds are asked by every update of it, so a policy that gets some
touches the registry's zone, as its other rules do.
"""

from ddns.migrations import execute
from ddns.migrations.walls import only_for, walled

revision = "0018"
down_revision = "0017"

UPGRADE = """
ALTER TABLE home_policies
    ADD COLUMN names_most   integer NOT NULL DEFAULT 0
        CONSTRAINT home_policy_with_negative_names CHECK (names_most >= 0),
    ADD COLUMN records_most integer NOT NULL DEFAULT 0
        CONSTRAINT home_policy_with_negative_records CHECK (records_most >= 0),
    ADD COLUMN idle         bigint NOT NULL DEFAULT 31536000
        CONSTRAINT home_policy_with_negative_idle CHECK (idle >= 0);
COMMENT ON COLUMN home_policies.names_most IS 'names with records below a home''s own; 0: no bound';
COMMENT ON COLUMN home_policies.idle IS 'seconds without any use after which owner and operator are told; 0: never';

CREATE FUNCTION bounds_touch_their_registry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE zones SET basis = basis + 1 WHERE id = NEW.zone;
    RETURN NULL;
END
$$;
CREATE TRIGGER policy_with_bounds AFTER INSERT ON home_policies FOR EACH ROW
    WHEN (NEW.names_most > 0 OR NEW.records_most > 0) EXECUTE FUNCTION bounds_touch_their_registry();
CREATE TRIGGER policy_with_other_bounds AFTER UPDATE ON home_policies FOR EACH ROW
    WHEN (OLD.names_most <> NEW.names_most OR OLD.records_most <> NEW.records_most)
    EXECUTE FUNCTION bounds_touch_their_registry();

ALTER TABLE tenants
    ADD COLUMN refusals_a_week   bigint NOT NULL DEFAULT 0,
    ADD COLUMN complaints_a_week bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN tenants.refusals_a_week IS
    'updates of one home that rules refused within a week, of which operators are told; 0: they are not';
GRANT UPDATE (refusals_a_week, complaints_a_week) ON tenants TO ddns_web;

CREATE TABLE told (
    tenant  bigint NOT NULL DEFAULT ddns_tenant() CONSTRAINT told_to_no_tenant REFERENCES tenants (id),
    what    text NOT NULL,
    subject text NOT NULL,
    until   timestamptz NOT NULL,
    CONSTRAINT told_twice PRIMARY KEY (tenant, what, subject)
);
CREATE INDEX told_until ON told (until);
COMMENT ON TABLE told IS 'what somebody was told, or what was written down, and is not again before that time';
GRANT SELECT, INSERT, UPDATE, DELETE ON told TO ddns_web, ddns_admin;

CREATE TABLE adoption_codes (
    zone   bigint CONSTRAINT adoption_code_twice PRIMARY KEY
           CONSTRAINT adoption_code_for_no_home REFERENCES homes (zone) ON DELETE CASCADE,
    tenant bigint NOT NULL DEFAULT ddns_tenant() CONSTRAINT adoption_code_of_no_tenant REFERENCES tenants (id),
    digest bytea NOT NULL CONSTRAINT adoption_code_with_odd_digest CHECK (length(digest) = 32),
    until  timestamptz NOT NULL,
    who    text NOT NULL
);
COMMENT ON TABLE adoption_codes IS 'SHA-256 of a code with which a home that nobody owns gets its owner, once';
COMMENT ON COLUMN adoption_codes.who IS 'the operator who made it';
GRANT SELECT, INSERT, UPDATE, DELETE ON adoption_codes TO ddns_web, ddns_admin;

-- Who said that a box may go: over the wall, for the one notice that it has come to somebody.
CREATE FUNCTION seller_of(released uuid) RETURNS TABLE (tenant bigint, owner uuid, name bytea) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT home_events.tenant, home_events.owner, home_events.name
    FROM releases JOIN home_events ON home_events.device = releases.device AND home_events.event = 'release'
                                      AND home_events.statement = releases.statement
    WHERE releases.id = released ORDER BY home_events.id DESC LIMIT 1
$$;

-- A key that takes the place of another by UPDATE has its tier by what that one has it.
GRANT SELECT, INSERT ON appraisals TO ddns_server;
"""

DOWNGRADE = """
REVOKE SELECT, INSERT ON appraisals FROM ddns_server;
DROP FUNCTION seller_of;
DROP TABLE adoption_codes, told;
REVOKE UPDATE (refusals_a_week, complaints_a_week) ON tenants FROM ddns_web;
ALTER TABLE tenants DROP COLUMN refusals_a_week, DROP COLUMN complaints_a_week;
DROP TRIGGER policy_with_other_bounds ON home_policies;
DROP TRIGGER policy_with_bounds ON home_policies;
DROP FUNCTION bounds_touch_their_registry;
ALTER TABLE home_policies DROP COLUMN names_most, DROP COLUMN records_most, DROP COLUMN idle;
"""


def upgrade() -> None:
    execute(UPGRADE)
    execute(only_for("ddns_web", ("seller_of(uuid)",)))
    for table in ("told", "adoption_codes"):
        execute(walled(table))


def downgrade() -> None:
    execute(DOWNGRADE)
