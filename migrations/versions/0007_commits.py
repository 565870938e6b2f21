"""One function that commits a batch of updates if nothing has changed that it was judged by; who follows editions.

The server judges and signs a batch from memory, and `commit_updates` then locks the zones, looks again at everything
that counted, and writes all or nothing. It runs with the rights of its caller and adds none.

A row is known to be unchanged by its `xmin`: whoever touches it in any way gives it another one.
"""

from ddns.migrations import execute

revision = "0007"
down_revision = "0006"

FOLLOWERS = """
CREATE TABLE followers (
    backend integer CONSTRAINT follower_twice PRIMARY KEY,
    worker  bigint NOT NULL
);
COMMENT ON TABLE followers IS 'who listens for editions: without any but the one who commits, nobody is notified';
COMMENT ON COLUMN followers.backend IS 'the server process of the connection that listens';
COMMENT ON COLUMN followers.worker IS 'a number that a worker chose for itself; its own commits it knows of';
GRANT SELECT, INSERT, DELETE ON followers TO ddns_server;
"""

TYPES = """
CREATE TYPE commit_zone AS (id bigint, edition bigint, serial bigint, state text, rules text);
CREATE TYPE commit_key AS (id bigint, zone bigint, stamp text);
CREATE TYPE commit_place AS (zone bigint, owner bytea, type integer);
CREATE TYPE commit_rrset AS (zone bigint, owner bytea, type integer, ttl integer, rdatas bytea[]);
CREATE TYPE commit_shown AS (zone bigint, owner bytea, type integer, ttl integer, rdatas bytea[], sigs bytea[]);
CREATE TYPE commit_step AS (zone bigint, entries bigint, serial bigint, removed bytea, added bytea);
CREATE TYPE commit_entry AS (
    zone bigint, place bigint, principal text, credential bigint, digest bytea, change bytea);
CREATE TYPE commit_answer AS (digest bytea, rcode bigint, ede bigint, text text, lease bytea, expires bigint);
"""

# Each statement sees what was committed before it began: what is compared behind the lock is as it will be when this
# is committed. A zone of which something was remembered otherwise, a key, or a request that was answered before ends it
# with a word about that; then nothing is written. A row that should be there and is not is an exception.
COMMIT = """
CREATE FUNCTION commit_updates(
    follower bigint, latest bigint, asked_zones commit_zone[], asked_keys commit_key[],
    new_rrsets commit_rrset[], changed_rrsets commit_rrset[], gone_rrsets commit_place[],
    new_shown commit_shown[], changed_shown commit_shown[], gone_shown commit_place[],
    steps commit_step[], entries commit_entry[], answers commit_answer[], payloads text[]
) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    otherwise text;
    rows bigint;
BEGIN
    PERFORM FROM unnest(asked_zones) AS asked JOIN zones ON zones.id = asked.id
    ORDER BY zones.id FOR NO KEY UPDATE OF zones;

    SELECT string_agg(asked.id::text, ' ') INTO otherwise
    FROM unnest(asked_zones) AS asked
    LEFT JOIN zones ON zones.id = asked.id
    LEFT JOIN homes ON homes.zone = zones.id
    LEFT JOIN signing ON signing.zone = zones.id
    WHERE (zones.edition = asked.edition AND zones.serial = asked.serial AND zones.denial <> 'none'
           AND concat_ws(' ', zones.denial, zones.algorithm, homes.state) = asked.state
           AND NOT coalesce(signing.pending, false)
           AND NOT EXISTS (SELECT FROM leases WHERE leases.zone = zones.id)
           AND asked.rules = coalesce((
                SELECT string_agg(stamp, ',' ORDER BY id) FROM (
                    SELECT id, xmin::text AS stamp FROM grants
                    WHERE grants.credential IS NULL AND NOT grants.homes AND grants.zone = zones.id
                    UNION ALL
                    SELECT id, xmin::text FROM grants
                    WHERE grants.credential IS NULL AND grants.homes AND grants.zone = zones.parent
                ) AS denials), '')) IS NOT TRUE;
    IF otherwise IS NOT NULL THEN
        RETURN 'zones ' || otherwise;
    END IF;

    SELECT string_agg(asked.id::text, ' ') INTO otherwise
    FROM unnest(asked_keys) AS asked
    LEFT JOIN credentials ON credentials.id = asked.id
    WHERE (credentials.revoked_at IS NULL
           AND asked.stamp = credentials.xmin::text || coalesce((
                SELECT ',' || string_agg(grants.xmin::text, ',' ORDER BY grants.id) FROM grants
                WHERE grants.credential = asked.id AND grants.zone = asked.zone), '')) IS NOT TRUE;
    IF otherwise IS NOT NULL THEN
        RETURN 'keys ' || otherwise;
    END IF;

    IF latest < extract(epoch FROM clock_timestamp())
       OR EXISTS (SELECT FROM unnest(answers) AS asked JOIN requests ON requests.digest = asked.digest) THEN
        RETURN 'requests';
    END IF;

    IF cardinality(gone_rrsets) > 0 THEN
        DELETE FROM rrsets USING unnest(gone_rrsets) AS gone
        WHERE rrsets.zone = gone.zone AND rrsets.owner = gone.owner AND rrsets.type = gone.type;
    END IF;
    IF cardinality(changed_rrsets) > 0 THEN
        UPDATE rrsets SET ttl = one.ttl, rdatas = one.rdatas
        FROM unnest(changed_rrsets) AS one
        WHERE rrsets.zone = one.zone AND rrsets.owner = one.owner AND rrsets.type = one.type;
        GET DIAGNOSTICS rows = ROW_COUNT;
        IF rows <> cardinality(changed_rrsets) THEN
            RAISE EXCEPTION 'of % records to change only % are there', cardinality(changed_rrsets), rows;
        END IF;
    END IF;
    IF cardinality(new_rrsets) > 0 THEN
        INSERT INTO rrsets (zone, owner, type, ttl, rdatas)
        SELECT zone, owner, type, ttl, rdatas FROM unnest(new_rrsets);
    END IF;

    IF cardinality(steps) > 0 THEN
        IF cardinality(gone_shown) > 0 THEN
            DELETE FROM published_rrsets USING unnest(gone_shown) AS gone
            WHERE published_rrsets.zone = gone.zone AND published_rrsets.owner = gone.owner
              AND published_rrsets.type = gone.type;
        END IF;
        UPDATE published_rrsets SET ttl = one.ttl, rdatas = one.rdatas, sigs = one.sigs
        FROM unnest(changed_shown) AS one
        WHERE published_rrsets.zone = one.zone AND published_rrsets.owner = one.owner
          AND published_rrsets.type = one.type;
        GET DIAGNOSTICS rows = ROW_COUNT;
        IF rows <> cardinality(changed_shown) THEN
            RAISE EXCEPTION 'of % published records to change only % are there', cardinality(changed_shown), rows;
        END IF;
        IF cardinality(new_shown) > 0 THEN
            INSERT INTO published_rrsets (zone, owner, type, ttl, rdatas, sigs)
            SELECT zone, owner, type, ttl, rdatas, sigs FROM unnest(new_shown);
        END IF;
        INSERT INTO journal (zone, seq, principal, credential, digest, change)
        SELECT zones.id, zones.head + entry.place, entry.principal, entry.credential, entry.digest, entry.change
        FROM unnest(entries) AS entry JOIN zones ON zones.id = entry.zone;
        INSERT INTO editions (zone, number, from_serial, to_serial, removed, added)
        SELECT zones.id, zones.edition + 1, zones.serial, step.serial, step.removed, step.added
        FROM unnest(steps) AS step JOIN zones ON zones.id = step.zone;
        UPDATE zones SET head = zones.head + step.entries, edition = zones.edition + 1, serial = step.serial
        FROM unnest(steps) AS step WHERE zones.id = step.zone;
        -- Whoever enters among the followers waits for this to end, or it waits for that: `ddns.store.followers`.
        PERFORM pg_advisory_xact_lock_shared(7953758699358282086);
        IF EXISTS (SELECT FROM followers WHERE followers.worker <> follower) THEN
            PERFORM pg_notify('ddns_zones', payload) FROM unnest(payloads) AS payload;
        END IF;
    END IF;

    INSERT INTO requests (digest, rcode, ede, text, lease, expires_at)
    SELECT digest, rcode, ede, text, lease, to_timestamp(expires) FROM unnest(answers);
    RETURN '';
END
$$;
"""

RIGHTS = """
DO $$
DECLARE
    function regprocedure := (SELECT oid FROM pg_proc WHERE proname = 'commit_updates'
                              AND pronamespace = current_schema()::regnamespace);
BEGIN
    EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || function || ' FROM PUBLIC';
    EXECUTE 'GRANT EXECUTE ON FUNCTION ' || function || ' TO ddns_server';
END
$$;
"""

DOWNGRADE = """
DROP FUNCTION commit_updates;
DROP TYPE commit_zone, commit_key, commit_place, commit_rrset, commit_shown, commit_step, commit_entry, commit_answer;
DROP TABLE followers;
"""


def upgrade() -> None:
    execute(FOLLOWERS)
    execute(TYPES)
    execute(COMMIT)
    execute(RIGHTS)


def downgrade() -> None:
    execute(DOWNGRADE)
