"""Zones with compact denial of existence (RFC 9824), which are never transferred.

What such a zone says of names that are not in it is signed when it is asked for, so a secondary could not say it: a
right to transfer one, or somebody to notify of it, is refused, and so is this way of denial where there are any. Of two
who try both at once one waits for the other: whoever gives a right locks the zone's row as for its removal.
"""

from ddns.migrations import execute

revision = "0012"
down_revision = "0011"

KINDS = """
ALTER DOMAIN zone_denial DROP CONSTRAINT zone_with_unknown_denial;
ALTER DOMAIN zone_denial ADD CONSTRAINT zone_with_unknown_denial CHECK (VALUE IN ({kinds}, 'none'));
"""

UPGRADE = """
CREATE INDEX zones_compact ON zones (parent) WHERE denial = 'compact';

CREATE FUNCTION refuse_a_compact_zone_with_transfers() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    -- Where it is new, the foreign key has done this.
    PERFORM FROM zones WHERE id = NEW.parent FOR KEY SHARE;
    IF EXISTS (SELECT FROM transfer_rights WHERE zone = NEW.id OR (zone = NEW.parent AND homes))
        OR EXISTS (SELECT FROM transfer_targets WHERE zone = NEW.id OR (zone = NEW.parent AND homes))
    THEN
        RAISE EXCEPTION 'the zone % is transferred and cannot deny compactly', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'compact_zone_with_transfers';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER zone_that_is_compact_and_transferred AFTER INSERT OR UPDATE OF denial ON zones FOR EACH ROW
    WHEN (NEW.denial = 'compact') EXECUTE FUNCTION refuse_a_compact_zone_with_transfers();

CREATE FUNCTION refuse_transfers_of_a_compact_zone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM zones WHERE id = NEW.zone FOR UPDATE;
    IF EXISTS (SELECT FROM zones WHERE id = NEW.zone AND denial = 'compact')
        OR (NEW.homes AND EXISTS (SELECT FROM zones WHERE parent = NEW.zone AND denial = 'compact'))
    THEN
        RAISE EXCEPTION 'the zone % denies compactly and cannot be transferred', NEW.zone
            USING ERRCODE = 'check_violation', CONSTRAINT = 'compact_zone_with_transfers';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER right_to_a_compact_zone AFTER INSERT OR UPDATE ON transfer_rights
    FOR EACH ROW EXECUTE FUNCTION refuse_transfers_of_a_compact_zone();
CREATE TRIGGER target_of_a_compact_zone AFTER INSERT OR UPDATE OF zone, homes ON transfer_targets
    FOR EACH ROW EXECUTE FUNCTION refuse_transfers_of_a_compact_zone();
"""

DOWNGRADE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM zones WHERE denial = 'compact') THEN
        RAISE EXCEPTION 'the older program knows no compact denial, and some zones have it'
            USING HINT = 'Import them with --denial nsec3 first, and wait until they are signed.';
    END IF;
END
$$;
DROP TRIGGER target_of_a_compact_zone ON transfer_targets;
DROP TRIGGER right_to_a_compact_zone ON transfer_rights;
DROP FUNCTION refuse_transfers_of_a_compact_zone;
DROP TRIGGER zone_that_is_compact_and_transferred ON zones;
DROP FUNCTION refuse_a_compact_zone_with_transfers;
DROP INDEX zones_compact;
"""


def upgrade() -> None:
    execute(KINDS.format(kinds="'nsec3', 'nsec', 'compact'"))
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
    execute(KINDS.format(kinds="'nsec3', 'nsec'"))
