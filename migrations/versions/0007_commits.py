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

# Each statement sees what was committed before it began: what is compared behind the lock is as it will be when this
# is committed. Parameters that belong together are arrays of one length: z of zones that are mentioned, k of keys and
# the zones they write in, r and d of records that come and go, p and g of what is published and no more, s of the
# zones' steps, j of the journal, q of requests that are answered.
COMMIT = """
CREATE FUNCTION commit_updates(
    follower bigint,
    z_ids bigint[], z_editions bigint[], z_serials bigint[], z_states text[], z_rules text[],
    k_ids bigint[], k_zones bigint[], k_stamps text[],
    r_zones bigint[], r_owners bytea[], r_types integer[], r_ttls integer[], r_rdatas text[],
    d_zones bigint[], d_owners bytea[], d_types integer[],
    p_zones bigint[], p_owners bytea[], p_types integer[], p_ttls integer[], p_rdatas text[], p_sigs text[],
    g_zones bigint[], g_owners bytea[], g_types integer[],
    s_zones bigint[], s_entries bigint[], s_serials bigint[], s_removed bytea[], s_added bytea[],
    j_zones bigint[], j_places bigint[], j_principals text[], j_credentials bigint[], j_digests bytea[],
    j_changes bytea[],
    q_digests bytea[], q_rcodes integer[], q_edes integer[], q_texts text[], q_leases bytea[], q_expires bigint[],
    q_latest bigint, payloads text[]
) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    changed text;
BEGIN
    PERFORM FROM zones WHERE id = ANY (z_ids) ORDER BY id FOR NO KEY UPDATE;

    SELECT string_agg(asked.id::text, ' ') INTO changed
    FROM unnest(z_ids, z_editions, z_serials, z_states, z_rules) AS asked (id, edition, serial, state, rules)
    LEFT JOIN zones ON zones.id = asked.id
    LEFT JOIN homes ON homes.zone = zones.id
    LEFT JOIN signing ON signing.zone = zones.id
    WHERE (zones.edition = asked.edition AND zones.serial = asked.serial AND zones.denial <> 'none'
           AND coalesce(homes.state, '') = asked.state
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
    IF changed IS NOT NULL THEN
        RETURN 'zones ' || changed;
    END IF;

    SELECT string_agg(asked.id::text, ' ') INTO changed
    FROM unnest(k_ids, k_zones, k_stamps) AS asked (id, zone, stamp)
    LEFT JOIN credentials ON credentials.id = asked.id
    WHERE (credentials.revoked_at IS NULL
           AND asked.stamp = credentials.xmin::text || coalesce((
                SELECT ',' || string_agg(grants.xmin::text, ',' ORDER BY grants.id) FROM grants
                WHERE grants.credential = asked.id AND grants.zone = asked.zone), '')) IS NOT TRUE;
    IF changed IS NOT NULL THEN
        RETURN 'keys ' || changed;
    END IF;

    IF q_latest < extract(epoch FROM clock_timestamp())
       OR EXISTS (SELECT FROM unnest(q_digests) AS asked (digest) JOIN requests ON requests.digest = asked.digest) THEN
        RETURN 'requests';
    END IF;

    IF cardinality(d_zones) > 0 THEN
        DELETE FROM rrsets USING unnest(d_zones, d_owners, d_types) AS gone (zone, owner, type)
        WHERE rrsets.zone = gone.zone AND rrsets.owner = gone.owner AND rrsets.type = gone.type;
    END IF;
    IF cardinality(g_zones) > 0 THEN
        DELETE FROM published_rrsets USING unnest(g_zones, g_owners, g_types) AS gone (zone, owner, type)
        WHERE published_rrsets.zone = gone.zone AND published_rrsets.owner = gone.owner
          AND published_rrsets.type = gone.type;
    END IF;
    IF cardinality(r_zones) > 0 THEN
        INSERT INTO rrsets (zone, owner, type, ttl, rdatas)
        SELECT zone, owner, type, ttl, rdatas::bytea[]
        FROM unnest(r_zones, r_owners, r_types, r_ttls, r_rdatas) AS new (zone, owner, type, ttl, rdatas)
        ON CONFLICT (zone, owner, type) DO UPDATE SET ttl = excluded.ttl, rdatas = excluded.rdatas;
    END IF;
    IF cardinality(s_zones) > 0 THEN
        INSERT INTO published_rrsets (zone, owner, type, ttl, rdatas, sigs)
        SELECT zone, owner, type, ttl, rdatas::bytea[], sigs::bytea[]
        FROM unnest(p_zones, p_owners, p_types, p_ttls, p_rdatas, p_sigs)
             AS new (zone, owner, type, ttl, rdatas, sigs)
        ON CONFLICT (zone, owner, type) DO UPDATE
            SET ttl = excluded.ttl, rdatas = excluded.rdatas, sigs = excluded.sigs;
        INSERT INTO journal (zone, seq, principal, credential, digest, change)
        SELECT zones.id, zones.head + place, principal, entry.credential, digest, change
        FROM unnest(j_zones, j_places, j_principals, j_credentials, j_digests, j_changes)
             AS entry (zone, place, principal, credential, digest, change)
        JOIN zones ON zones.id = entry.zone;
        INSERT INTO editions (zone, number, from_serial, to_serial, removed, added)
        SELECT zones.id, zones.edition + 1, zones.serial, step.serial, step.removed, step.added
        FROM unnest(s_zones, s_serials, s_removed, s_added) AS step (zone, serial, removed, added)
        JOIN zones ON zones.id = step.zone;
        UPDATE zones SET head = zones.head + step.entries, edition = zones.edition + 1, serial = step.serial
        FROM unnest(s_zones, s_entries, s_serials) AS step (zone, entries, serial)
        WHERE zones.id = step.zone;
        IF EXISTS (SELECT FROM followers WHERE worker <> follower) THEN
            PERFORM pg_notify('ddns_zones', payload) FROM unnest(payloads) AS payload;
        END IF;
    END IF;
    INSERT INTO requests (digest, rcode, ede, text, lease, expires_at)
    SELECT digest, rcode, ede, text, lease, to_timestamp(expires)
    FROM unnest(q_digests, q_rcodes, q_edes, q_texts, q_leases, q_expires)
         AS answer (digest, rcode, ede, text, lease, expires);
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
DROP TABLE followers;
"""


def upgrade() -> None:
    execute(FOLLOWERS)
    execute(COMMIT)
    execute(RIGHTS)


def downgrade() -> None:
    execute(DOWNGRADE)
