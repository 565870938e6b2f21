"""Homes with servers of their own: where each is on its way out or back, what was seen of it, and the evidence.

Rows only for homes that have ever wished to leave: a home without one is hosted. Times are the signer's and the
watcher's clocks', never a default. `hand` is `ddns.zone.hand.Hand` in MessagePack: one value, written by the one step
that makes it, so that nothing of a turn is stored by halves; beside it stand only what queries look for.

A zone that is held is listed nowhere: to those who follow what came and went it goes and comes like one that is removed
and added again.
"""

from ddns.migrations import execute

revision = "0011"
down_revision = "0010"

UPGRADE = """
CREATE TABLE delegations (
    zone         bigint CONSTRAINT delegation_twice PRIMARY KEY
                 CONSTRAINT delegation_of_no_home REFERENCES homes (zone) ON DELETE CASCADE,
    wish         text NOT NULL CONSTRAINT delegation_of_unknown_wish CHECK (wish IN ('host', 'away')),
    continuity   text NOT NULL DEFAULT 'copy'
                 CONSTRAINT delegation_of_unknown_continuity CHECK (continuity IN ('copy', 'standby', 'none')),
    state        text NOT NULL DEFAULT 'hosted' CONSTRAINT delegation_in_unknown_state CHECK (
                     state IN ('hosted', 'leaving-keys', 'leaving-ds', 'leaving-servers', 'leaving-drain', 'away',
                               'returning-keys', 'returning-ds', 'returning-servers', 'returning-drain', 'dark', 'gap',
                               'blind', 'back')),
    since        timestamptz,
    hand         bytea,
    seen         boolean NOT NULL DEFAULT true,
    foreign_keys bytea[] NOT NULL DEFAULT '{}',
    ttls         bytea,
    wanted       bytea,
    theirs       bytea,
    copied       bytea,
    copy         bytea,
    cds_stamp    bigint NOT NULL DEFAULT 0,
    csync_stamp  bigint,
    waits        text NOT NULL DEFAULT '',
    until        timestamptz,
    tell         text NOT NULL DEFAULT '',
    step_at      timestamptz,
    ask_at       timestamptz,
    changed_at   timestamptz NOT NULL
);
CREATE INDEX delegation_steps ON delegations (step_at) WHERE step_at IS NOT NULL;
CREATE INDEX delegation_looks ON delegations (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX delegations_unseen ON delegations (zone) WHERE NOT seen;
COMMENT ON TABLE delegations IS 'homes that have, or had, servers of their own; any other home is hosted';
COMMENT ON COLUMN delegations.since IS 'what was seen before does not count';
COMMENT ON COLUMN delegations.hand IS 'the whole of where the home is; NULL: where a hosted home is at first';
COMMENT ON COLUMN delegations.seen IS 'false: not all our own servers were seen to show what is published';
COMMENT ON COLUMN delegations.foreign_keys IS 'what the hosted copy''s DNSKEY RRset has besides our own keys';
COMMENT ON COLUMN delegations.ttls IS 'the greatest TTLs of what the registry had for the home since it began to leave';
COMMENT ON COLUMN delegations.wanted IS 'a delegation that was accepted: the signer takes it in with its next turn';
COMMENT ON COLUMN delegations.theirs IS 'what was seen of the home''s own servers last, and judged';
COMMENT ON COLUMN delegations.copied IS 'serial, keys, end and greatest TTL of the copy';
COMMENT ON COLUMN delegations.copy IS 'the last signed copy of what the home''s own servers had';
COMMENT ON COLUMN delegations.cds_stamp IS 'when the last CDS that were followed were signed: older ones are refused';
COMMENT ON COLUMN delegations.csync_stamp IS 'the serial of the last CSYNC that was followed';
COMMENT ON COLUMN delegations.waits IS 'what the next step waits for';
COMMENT ON COLUMN delegations.tell IS 'what somebody must do, a sentence';
COMMENT ON COLUMN delegations.step_at IS 'when the signer looks again';
COMMENT ON COLUMN delegations.ask_at IS 'when the watcher asks the home''s own servers again';
COMMENT ON COLUMN delegations.changed_at IS 'when a delegation was accepted, or a wish said, last';

CREATE TABLE delegation_checks (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zone     bigint NOT NULL,
    at       timestamptz NOT NULL,
    by       text NOT NULL,
    rule     text,
    sentence text NOT NULL DEFAULT '',
    said     bytea NOT NULL
);
CREATE INDEX delegation_checks_by_zone ON delegation_checks (zone, id);
COMMENT ON TABLE delegation_checks IS 'what a home''s own servers said whenever it mattered; they outlive the home';
COMMENT ON COLUMN delegation_checks.by IS 'who asked for it: a principal, or look, cds, csync, notify, update';
COMMENT ON COLUMN delegation_checks.rule IS 'the rule that was broken; NULL: it was accepted';
CREATE TRIGGER delegation_checks_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON delegation_checks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history();

ALTER TABLE zones
    ADD COLUMN held boolean NOT NULL DEFAULT false,
    ADD COLUMN presigned boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN zones.held IS 'published, and served by nobody here: the zone above refers to others';
COMMENT ON COLUMN zones.presigned IS 'what is published was signed elsewhere, and nobody signs it here';

CREATE FUNCTION held_zones_come_and_go() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.held THEN
        INSERT INTO zones_gone (zone) VALUES (NEW.id) ON CONFLICT (zone) DO UPDATE
            SET gone = excluded.gone, at = excluded.at;
    ELSE
        DELETE FROM zones_gone WHERE zone = NEW.id;
        NEW.born := pg_current_xact_id();
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER zones_that_are_held BEFORE UPDATE OF held ON zones FOR EACH ROW
    WHEN (OLD.held IS DISTINCT FROM NEW.held) EXECUTE FUNCTION held_zones_come_and_go();

ALTER TABLE sightings DROP CONSTRAINT sighting_of_unknown_kind;
ALTER TABLE sightings ADD CONSTRAINT sighting_of_unknown_kind
    CHECK (kind IN ('secondary', 'parent', 'child', 'dsync', 'withdrawn'));

GRANT SELECT ON delegations TO ddns_server, zone_signer, ddns_admin;
GRANT INSERT (zone, wish, continuity, wanted, theirs, step_at, ask_at, changed_at)
    ON delegations TO ddns_server, ddns_admin;
GRANT UPDATE (wish, continuity, wanted, theirs, copied, copy, cds_stamp, csync_stamp, step_at, ask_at, changed_at)
    ON delegations TO ddns_server;
GRANT UPDATE (wish, continuity, wanted, theirs, step_at, ask_at, changed_at) ON delegations TO ddns_admin;
GRANT UPDATE (state, since, hand, seen, foreign_keys, ttls, wanted, waits, until, tell, step_at, ask_at)
    ON delegations TO zone_signer;
GRANT SELECT (zone, seconds, ends_at), UPDATE (ends_at) ON leases TO zone_signer;
GRANT SELECT, INSERT ON delegation_checks TO ddns_server, ddns_admin;
GRANT UPDATE (held, presigned) ON zones TO zone_signer;
"""

DOWNGRADE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM delegations WHERE state <> 'hosted') OR EXISTS (SELECT FROM zones WHERE held OR presigned)
    THEN
        RAISE EXCEPTION 'the older program serves every home itself, and some have servers of their own'
            USING HINT = 'Bring them home first: ddns delegation return HOME.';
    END IF;
END
$$;
DELETE FROM sightings WHERE kind = 'withdrawn';
ALTER TABLE sightings DROP CONSTRAINT sighting_of_unknown_kind;
ALTER TABLE sightings ADD CONSTRAINT sighting_of_unknown_kind CHECK (kind IN ('secondary', 'parent', 'child', 'dsync'));
DROP TRIGGER zones_that_are_held ON zones;
DROP FUNCTION held_zones_come_and_go;
ALTER TABLE zones DROP COLUMN held, DROP COLUMN presigned;
DROP TABLE delegation_checks, delegations;
REVOKE SELECT (zone, seconds, ends_at), UPDATE (ends_at) ON leases FROM zone_signer;
"""


def upgrade() -> None:
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
