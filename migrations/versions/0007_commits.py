"""One function that commits a batch of updates if nothing has changed that it was judged by; who follows editions.

And what makes the tables that it writes lighter to write: domains for checks, one index less, nothing compressed.

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
# Whoever looks for requests by a join has all of them read where there were none when the plan was made.
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
    heard boolean;
    rows bigint;
BEGIN
    -- Whoever enters among the followers waits for this to end, or it waits for that: `ddns.store.followers`. There is
    -- no row to lock before the function was called, so nobody who has to wait for that lock holds a zone.
    PERFORM FROM pg_advisory_xact_lock_shared(7953758699358282086), zones
    WHERE zones.id = ANY (ARRAY(SELECT id FROM unnest(asked_zones))) ORDER BY zones.id FOR NO KEY UPDATE OF zones;

    SELECT coalesce(
        (SELECT 'zones ' || string_agg(asked.id::text, ' ')
         FROM unnest(asked_zones) AS asked
         LEFT JOIN zones ON zones.id = asked.id
         LEFT JOIN homes ON homes.zone = asked.id
         LEFT JOIN signing ON signing.zone = asked.id
         WHERE (zones.edition = asked.edition AND zones.serial = asked.serial AND zones.denial <> 'none'
                AND concat_ws(' ', zones.denial, zones.algorithm, homes.state) = asked.state
                AND NOT coalesce(signing.pending, false)
                AND NOT EXISTS (SELECT FROM leases WHERE leases.zone = asked.id)
                AND asked.rules = coalesce((
                    SELECT string_agg(grants.xmin::text, ',' ORDER BY grants.id) FROM grants
                    WHERE grants.credential IS NULL AND grants.zone = ANY (ARRAY[asked.id, zones.parent])
                      AND grants.homes = (grants.zone <> asked.id)), '')) IS NOT TRUE),
        (SELECT 'keys ' || string_agg(asked.id::text, ' ')
         FROM unnest(asked_keys) AS asked
         LEFT JOIN credentials ON credentials.id = asked.id
         WHERE (credentials.revoked_at IS NULL
                AND asked.stamp = credentials.xmin::text || coalesce((
                    SELECT ',' || string_agg(grants.xmin::text, ',' ORDER BY grants.id) FROM grants
                    WHERE grants.credential = asked.id AND grants.zone = asked.zone), '')) IS NOT TRUE),
        CASE WHEN latest < extract(epoch FROM clock_timestamp())
               OR EXISTS (SELECT FROM unnest(answers) AS asked
                          WHERE (SELECT true FROM requests WHERE requests.digest = asked.digest))
             THEN 'requests' END
    ), EXISTS (SELECT FROM followers WHERE followers.worker <> follower) INTO otherwise, heard;
    IF otherwise IS NOT NULL THEN
        RETURN otherwise;
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
        IF heard THEN
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

# A CHECK of a table is parsed and planned anew by each statement that writes there, whichever columns it writes: of an
# update alone some 40 µs. The constraint of a domain is kept ready, and looked at where the column is written.
# table, column, its type, the domain, the constraint, what it asks
CHECKED = (
    ("rrsets", "type", "integer", "rrset_type", "rrset_with_impossible_type", "VALUE BETWEEN 1 AND 65535"),
    ("rrsets", "ttl", "integer", "rrset_ttl", "rrset_with_negative_ttl", "VALUE >= 0"),
    ("rrsets", "rdatas", "bytea[]", "rrset_rdatas", "rrset_without_records", "cardinality(VALUE) > 0"),
    (
        *("published_rrsets", "type", "integer", "published_type", "published_rrset_with_impossible_type"),
        "VALUE BETWEEN 1 AND 65535 AND VALUE <> 46",
    ),
    ("published_rrsets", "ttl", "integer", "published_ttl", "published_rrset_with_negative_ttl", "VALUE >= 0"),
    (
        *("published_rrsets", "rdatas", "bytea[]", "published_rdatas", "published_rrset_without_records"),
        "cardinality(VALUE) > 0",
    ),
    ("zones", "denial", "text", "zone_denial", "zone_with_unknown_denial", "VALUE IN ('nsec3', 'nsec', 'none')"),
    ("zones", "algorithm", "smallint", "zone_algorithm", "zone_with_unknown_algorithm", "VALUE IN (13, 15)"),
    ("zones", "head", "bigint", "zone_head", "zone_with_negative_head", "VALUE >= 0"),
    ("zones", "edition", "bigint", "zone_edition", "zone_with_negative_edition", "VALUE >= 0"),
    ("zones", "serial", "bigint", "zone_serial", "serial_beyond_32_bits", "VALUE BETWEEN 0 AND 4294967295"),
    ("journal", "seq", "bigint", "journal_place", "journal_entry_before_the_first", "VALUE > 0"),
    ("editions", "number", "bigint", "edition_number", "edition_before_the_first", "VALUE > 0"),
    (
        *("editions", "from_serial", "bigint", "edition_from", "edition_from_beyond_32_bits"),
        "VALUE BETWEEN 0 AND 4294967295",
    ),
    (
        *("editions", "to_serial", "bigint", "edition_to", "edition_to_beyond_32_bits"),
        "VALUE BETWEEN 0 AND 4294967295",
    ),
)

# The views of 0002 stand on these columns: they are taken away meanwhile, and made again as they were.
RETYPE = """
DO $do$
DECLARE
    stored CONSTANT text := pg_get_viewdef('records'::regclass);
    shown CONSTANT text := pg_get_viewdef('published_records'::regclass);
BEGIN
    DROP VIEW published_records, records;
    %s;
    EXECUTE 'CREATE VIEW records AS ' || stored;
    EXECUTE 'CREATE VIEW published_records AS ' || shown;
END
$do$;
COMMENT ON VIEW records IS 'what clients wrote, one record a row; published, too? (a SOA is with another serial)';
COMMENT ON VIEW published_records IS 'what servers answer with, one record a row, each RRset followed by its RRSIGs';
GRANT SELECT ON records, published_records TO ddns_admin, zone_signer;
"""

# One index of the denial records instead of two: each is opened by every statement that writes what is published.
# What is mostly signatures and digests is stored as it is: to compress it costs a tenth of a batch, for nothing.
LIGHTER = """
DROP INDEX published_nsec3, published_nsec;
CREATE INDEX published_denial ON published_rrsets (zone, type, owner) WHERE type IN (47, 50);
ALTER TABLE editions ALTER COLUMN removed SET STORAGE EXTERNAL, ALTER COLUMN added SET STORAGE EXTERNAL,
    SET (toast_tuple_target = 8160);
ALTER TABLE journal ALTER COLUMN change SET STORAGE EXTERNAL;
"""
HEAVIER = """
DROP INDEX published_denial;
CREATE INDEX published_nsec3 ON published_rrsets (zone, owner) WHERE type = 50;
CREATE INDEX published_nsec ON published_rrsets (zone, owner) WHERE type = 47;
ALTER TABLE editions ALTER COLUMN removed SET STORAGE EXTENDED, ALTER COLUMN added SET STORAGE EXTENDED,
    RESET (toast_tuple_target);
ALTER TABLE journal ALTER COLUMN change SET STORAGE EXTENDED;
"""

DOWNGRADE = """
DROP FUNCTION commit_updates;
DROP TYPE commit_zone, commit_key, commit_place, commit_rrset, commit_shown, commit_step, commit_entry, commit_answer;
DROP TABLE followers;
"""


def by_domains() -> str:
    """Return the SQL that has domains check what the tables did; a domain without constraints rewrites no table."""
    steps = [f"CREATE DOMAIN {domain} AS {kind}" for _, _, kind, domain, _, _ in CHECKED]
    for table, column, _, domain, constraint, _ in CHECKED:
        steps.append(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}, ALTER COLUMN {column} TYPE {domain}")
    for _, _, _, domain, constraint, asked in CHECKED:
        steps.append(f"ALTER DOMAIN {domain} ADD CONSTRAINT {constraint} CHECK ({asked})")
    return RETYPE % ";\n    ".join(steps)


def by_tables() -> str:
    """Return the SQL that takes back what `by_domains` does."""
    steps = []
    for table, column, kind, domain, constraint, asked in CHECKED:
        check = asked.replace("VALUE", column)
        steps.append(
            f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}, ADD CONSTRAINT {constraint} CHECK ({check})"
        )
        steps.append(f"DROP DOMAIN {domain}")
    return RETYPE % ";\n    ".join(steps)


def upgrade() -> None:
    execute(FOLLOWERS)
    execute(TYPES)
    execute(by_domains())
    execute(LIGHTER)
    execute(COMMIT)
    execute(RIGHTS)


def downgrade() -> None:
    execute(DOWNGRADE)
    execute(HEAVIER)
    execute(by_tables())
