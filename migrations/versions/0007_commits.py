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

# What an update is judged by beside its zone's row and its key's: whoever changes it touches that row, too. So a commit
# looks at these two rows and nowhere else. A zone counts on; a key is known to be touched by its `xmin`.
BASIS = """
ALTER TABLE zones ADD COLUMN basis bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN zones.basis IS
    'counts changes of what updates are judged by and is not here: rules for everybody, home, leases, signing';

-- Whose transaction adds a zone or a key need not touch it: nobody has seen it yet.
CREATE FUNCTION grants_touch_what_they_are_given_to() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE credentials SET assurance = assurance
    WHERE id IN (SELECT credential FROM touched) AND xmin <> pg_current_xact_id()::xid;
    UPDATE zones SET basis = basis + 1 WHERE id IN (SELECT zone FROM touched WHERE credential IS NULL);
    RETURN NULL;
END
$$;
CREATE TRIGGER grants_that_are_given AFTER INSERT ON grants REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION grants_touch_what_they_are_given_to();
CREATE TRIGGER grants_that_are_taken AFTER DELETE ON grants REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION grants_touch_what_they_are_given_to();
CREATE TRIGGER grants_before_a_change AFTER UPDATE ON grants REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION grants_touch_what_they_are_given_to();
CREATE TRIGGER grants_after_a_change AFTER UPDATE ON grants REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION grants_touch_what_they_are_given_to();

CREATE FUNCTION homes_and_leases_touch_their_zones() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE zones SET basis = basis + 1 WHERE id IN (SELECT zone FROM touched) AND created_at <> now();
    RETURN NULL;
END
$$;
CREATE TRIGGER homes_that_are_made AFTER INSERT ON homes REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION homes_and_leases_touch_their_zones();
CREATE TRIGGER homes_that_are_changed AFTER UPDATE ON homes REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION homes_and_leases_touch_their_zones();
CREATE TRIGGER homes_that_are_removed AFTER DELETE ON homes REFERENCING OLD TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION homes_and_leases_touch_their_zones();
CREATE TRIGGER leases_that_begin AFTER INSERT ON leases REFERENCING NEW TABLE AS touched
    FOR EACH STATEMENT EXECUTE FUNCTION homes_and_leases_touch_their_zones();

-- The signer itself only takes zones off its list: that touches nothing.
CREATE FUNCTION waiting_for_the_signer_touches_the_zone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE zones SET basis = basis + 1 WHERE id = NEW.zone AND created_at <> now();
    RETURN NULL;
END
$$;
CREATE TRIGGER signing_of_a_zone_that_waits AFTER INSERT ON signing FOR EACH ROW WHEN (NEW.pending)
    EXECUTE FUNCTION waiting_for_the_signer_touches_the_zone();
CREATE TRIGGER signing_that_waits AFTER UPDATE ON signing FOR EACH ROW WHEN (NEW.pending AND NOT OLD.pending)
    EXECUTE FUNCTION waiting_for_the_signer_touches_the_zone();
"""

# When a signature ends is part of what was signed: the digest is looked for among those of that second alone. They are
# written side by side, and one index does for looking them up and for forgetting them.
REQUESTS = """
DROP INDEX requests_expiring;
ALTER TABLE requests DROP CONSTRAINT request_answered_twice,
    ADD CONSTRAINT request_answered_twice PRIMARY KEY (expires_at, digest);
"""
REQUESTS_BEFORE = """
ALTER TABLE requests DROP CONSTRAINT request_answered_twice,
    ADD CONSTRAINT request_answered_twice PRIMARY KEY (digest);
CREATE INDEX requests_expiring ON requests (expires_at);
"""

TYPES = """
CREATE TYPE commit_zone AS (id bigint, edition bigint, serial bigint, state text);
CREATE TYPE commit_registry AS (id bigint, basis bigint);
CREATE TYPE commit_key AS (id bigint, stamp text);
CREATE TYPE commit_place AS (zone bigint, owner bytea, type integer);
CREATE TYPE commit_rrset AS (zone bigint, owner bytea, type integer, ttl integer, rdatas bytea[]);
CREATE TYPE commit_shown AS (zone bigint, owner bytea, type integer, ttl integer, rdatas bytea[], sigs bytea[]);
CREATE TYPE commit_step AS (
    zone bigint, edition bigint, from_serial bigint, to_serial bigint, state text, entries bigint,
    removed bytea, added bytea);
CREATE TYPE commit_entry AS (
    zone bigint, place bigint, principal text, credential bigint, digest bytea, change bytea);
CREATE TYPE commit_answer AS (digest bytea, rcode bigint, ede bigint, text text, lease bytea, expires bigint);
"""

# Each statement sees what was committed before it began: what is compared behind the lock is as it will be when this
# is committed. The row of a zone that comes alone is locked, compared and written by one statement, which finds none
# where something is otherwise. A zone of which something was remembered otherwise ends the function with a word about
# that before anything is written. A key or a registry ends it with an exception, whose message is that word; a request
# that was answered before by being there twice. A row that should be there and is not is an exception, too.
COMMIT = """
CREATE FUNCTION commit_updates(
    follower bigint, latest bigint, asked_zones commit_zone[], asked_registries commit_registry[],
    asked_keys commit_key[],
    new_rrsets commit_rrset[], changed_rrsets commit_rrset[], gone_rrsets commit_place[],
    new_shown commit_shown[], changed_shown commit_shown[], gone_shown commit_place[],
    steps commit_step[], entries commit_entry[], answers commit_answer[], payloads text[]
) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    alone commit_step;
    before bigint;
    otherwise bigint[];
    heard boolean;
    rows bigint;
BEGIN
    -- Whoever enters among the followers waits for this to end, or it waits for that: `ddns.store.followers`. There is
    -- no row to lock before the function was called, so nobody who has to wait for that lock holds a zone.
    heard := pg_advisory_xact_lock_shared(7953758699358282086) IS NULL;
    IF latest < extract(epoch FROM clock_timestamp()) THEN
        RETURN 'requests';
    END IF;

    IF cardinality(steps) = 1 AND cardinality(asked_zones) = 0 THEN
        alone := steps[1];
        UPDATE zones SET head = head + alone.entries, edition = edition + 1, serial = alone.to_serial
        WHERE id = alone.zone AND edition = alone.edition AND serial = alone.from_serial
              AND concat_ws(' ', denial, algorithm, parent, basis) = alone.state
        RETURNING head - alone.entries INTO before;
        IF before IS NULL THEN
            RETURN 'zones ' || alone.zone;
        END IF;
        INSERT INTO journal (zone, seq, principal, credential, digest, change)
        SELECT zone, before + place, principal, credential, digest, change FROM unnest(entries);
        INSERT INTO editions (zone, number, from_serial, to_serial, removed, added)
        VALUES (alone.zone, alone.edition + 1, alone.from_serial, alone.to_serial, alone.removed, alone.added);
    ELSE
        PERFORM FROM zones
        WHERE id = ANY (ARRAY(SELECT id FROM unnest(asked_zones) UNION ALL SELECT zone FROM unnest(steps)))
        ORDER BY id FOR NO KEY UPDATE;
        otherwise := ARRAY(
            SELECT asked.id
            FROM (SELECT id, edition, serial, state FROM unnest(asked_zones)
                  UNION ALL SELECT zone, edition, from_serial, state FROM unnest(steps)) AS asked
            LEFT JOIN zones ON zones.id = asked.id
            WHERE (zones.edition = asked.edition AND zones.serial = asked.serial
                   AND concat_ws(' ', zones.denial, zones.algorithm, zones.parent, zones.basis) = asked.state)
                  IS NOT TRUE);
        IF cardinality(otherwise) > 0 THEN
            RETURN 'zones ' || array_to_string(otherwise, ' ');
        END IF;
        IF cardinality(steps) > 0 THEN
            INSERT INTO journal (zone, seq, principal, credential, digest, change)
            SELECT zones.id, zones.head + entry.place, entry.principal, entry.credential, entry.digest, entry.change
            FROM unnest(entries) AS entry JOIN zones ON zones.id = entry.zone;
            INSERT INTO editions (zone, number, from_serial, to_serial, removed, added)
            SELECT zone, edition + 1, from_serial, to_serial, removed, added FROM unnest(steps);
            UPDATE zones SET head = zones.head + step.entries, edition = step.edition + 1, serial = step.to_serial
            FROM unnest(steps) AS step WHERE zones.id = step.zone;
        END IF;
    END IF;

    SELECT ARRAY(SELECT asked.id FROM unnest(asked_keys) AS asked
                 LEFT JOIN credentials ON credentials.id = asked.id
                 WHERE (credentials.xmin::text = asked.stamp AND credentials.revoked_at IS NULL) IS NOT TRUE),
           EXISTS (SELECT FROM followers WHERE followers.worker <> follower)
    INTO otherwise, heard;
    IF cardinality(otherwise) > 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'DD001', MESSAGE = 'keys ' || array_to_string(otherwise, ' ');
    END IF;
    IF cardinality(asked_registries) > 0 THEN
        otherwise := ARRAY(SELECT asked.id FROM unnest(asked_registries) AS asked
                           LEFT JOIN zones ON zones.id = asked.id AND zones.basis = asked.basis
                           WHERE zones.id IS NULL);
        IF cardinality(otherwise) > 0 THEN
            RAISE EXCEPTION USING ERRCODE = 'DD001', MESSAGE = 'registries ' || array_to_string(otherwise, ' ');
        END IF;
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

    IF cardinality(gone_shown) > 0 THEN
        DELETE FROM published_rrsets USING unnest(gone_shown) AS gone
        WHERE published_rrsets.zone = gone.zone AND published_rrsets.owner = gone.owner
          AND published_rrsets.type = gone.type;
    END IF;
    IF cardinality(changed_shown) > 0 THEN
        UPDATE published_rrsets SET ttl = one.ttl, rdatas = one.rdatas, sigs = one.sigs
        FROM unnest(changed_shown) AS one
        WHERE published_rrsets.zone = one.zone AND published_rrsets.owner = one.owner
          AND published_rrsets.type = one.type;
        GET DIAGNOSTICS rows = ROW_COUNT;
        IF rows <> cardinality(changed_shown) THEN
            RAISE EXCEPTION 'of % published records to change only % are there', cardinality(changed_shown), rows;
        END IF;
    END IF;
    IF cardinality(new_shown) > 0 THEN
        INSERT INTO published_rrsets (zone, owner, type, ttl, rdatas, sigs)
        SELECT zone, owner, type, ttl, rdatas, sigs FROM unnest(new_shown);
    END IF;
    IF heard AND cardinality(payloads) > 0 THEN
        PERFORM pg_notify('ddns_zones', payload) FROM unnest(payloads) AS payload;
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

# No domain can tell this: a trigger does, and an update of other columns does not wake it.
OWN_PARENT = """
ALTER TABLE zones DROP CONSTRAINT zone_that_is_its_own_parent;
CREATE FUNCTION refuse_a_zone_that_is_its_own_parent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the zone % would be its own parent', NEW.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'zone_that_is_its_own_parent';
END
$$;
CREATE TRIGGER zone_that_is_its_own_parent AFTER INSERT OR UPDATE OF parent ON zones
    FOR EACH ROW WHEN (NEW.parent = NEW.id) EXECUTE FUNCTION refuse_a_zone_that_is_its_own_parent();
"""
OWN_PARENT_BEFORE = """
DROP TRIGGER zone_that_is_its_own_parent ON zones;
DROP FUNCTION refuse_a_zone_that_is_its_own_parent;
ALTER TABLE zones ADD CONSTRAINT zone_that_is_its_own_parent CHECK (parent <> id);
"""

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
DROP TYPE commit_zone, commit_registry, commit_key, commit_place, commit_rrset, commit_shown, commit_step, commit_entry,
    commit_answer;
DROP TABLE followers;
DROP TRIGGER grants_that_are_given ON grants;
DROP TRIGGER grants_that_are_taken ON grants;
DROP TRIGGER grants_before_a_change ON grants;
DROP TRIGGER grants_after_a_change ON grants;
DROP TRIGGER homes_that_are_made ON homes;
DROP TRIGGER homes_that_are_changed ON homes;
DROP TRIGGER homes_that_are_removed ON homes;
DROP TRIGGER leases_that_begin ON leases;
DROP TRIGGER signing_of_a_zone_that_waits ON signing;
DROP TRIGGER signing_that_waits ON signing;
DROP FUNCTION grants_touch_what_they_are_given_to, homes_and_leases_touch_their_zones,
    waiting_for_the_signer_touches_the_zone;
ALTER TABLE zones DROP COLUMN basis;
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
    execute(BASIS)
    execute(REQUESTS)
    execute(TYPES)
    execute(by_domains())
    execute(OWN_PARENT)
    execute(LIGHTER)
    execute(COMMIT)
    execute(RIGHTS)


def downgrade() -> None:
    execute(DOWNGRADE)
    execute(REQUESTS_BEFORE)
    execute(HEAVIER)
    execute(OWN_PARENT_BEFORE)
    execute(by_tables())
