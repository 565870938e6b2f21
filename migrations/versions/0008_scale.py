"""What a million zones need: to find the zones that came and went since a moment without looking at all of them.

A transaction's number tells when it began; with the oldest number that was still under way at an earlier moment
nothing that was committed since can be missed. The numbers mean nothing in another cluster: a restored database
has old ones, which then are found once too often at worst. A column that is never updated costs an update nothing.
"""

from ddns.migrations import execute

revision = "0008"
down_revision = "0007"

UPGRADE = """
ALTER TABLE zones ADD COLUMN born xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX zones_by_birth ON zones (born, id);
COMMENT ON COLUMN zones.born IS 'the transaction that added the zone';

CREATE TABLE zones_gone (
    zone bigint CONSTRAINT zone_gone_twice PRIMARY KEY,
    gone xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX zones_gone_by_death ON zones_gone (gone);
CREATE INDEX zones_gone_by_time ON zones_gone (at);
COMMENT ON TABLE zones_gone IS 'zones that were removed in the last week';

CREATE OR REPLACE FUNCTION take_the_records_of_removed_zones() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM rrsets WHERE zone IN (SELECT id FROM removed_zones);
    DELETE FROM published_rrsets WHERE zone IN (SELECT id FROM removed_zones);
    DELETE FROM editions WHERE zone IN (SELECT id FROM removed_zones);
    DELETE FROM zones_gone WHERE at < now() - interval '7 days';
    INSERT INTO zones_gone (zone) SELECT id FROM removed_zones ON CONFLICT (zone) DO UPDATE
        SET gone = excluded.gone, at = excluded.at;
    RETURN NULL;
END
$$;

GRANT SELECT ON zones_gone TO ddns_server;
"""

DOWNGRADE = """
CREATE OR REPLACE FUNCTION take_the_records_of_removed_zones() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM rrsets WHERE zone IN (SELECT id FROM removed_zones);
    DELETE FROM published_rrsets WHERE zone IN (SELECT id FROM removed_zones);
    DELETE FROM editions WHERE zone IN (SELECT id FROM removed_zones);
    RETURN NULL;
END
$$;
DROP TABLE zones_gone;
DROP INDEX zones_by_birth;
ALTER TABLE zones DROP COLUMN born;
"""


def upgrade() -> None:
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
