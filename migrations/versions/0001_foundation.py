"""Zones, their records and what is published of them; journal, keys, credentials, homes; the roles.

Every name in a bytea column is stored as `ddns.dns.names.order_key` makes it: plain order of bytes is
the canonical order of names, and a subtree is a range. Constraints are named after what they forbid.
"""

from ddns.migrations import execute

revision = "0001"
down_revision = None

ZONES = """
CREATE TABLE zones (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin     bytea NOT NULL CONSTRAINT zone_twice UNIQUE,
    denial     text NOT NULL CONSTRAINT zone_with_unknown_denial CHECK (denial IN ('nsec3', 'nsec', 'none')),
    algorithm  smallint NOT NULL CONSTRAINT zone_with_unknown_algorithm CHECK (algorithm IN (13, 15)),
    parent     bigint CONSTRAINT registry_removed_before_its_homes REFERENCES zones (id),
    head       bigint NOT NULL DEFAULT 0 CONSTRAINT zone_with_negative_head CHECK (head >= 0),
    edition    bigint NOT NULL DEFAULT 0 CONSTRAINT zone_with_negative_edition CHECK (edition >= 0),
    serial     bigint NOT NULL DEFAULT 0 CONSTRAINT serial_beyond_32_bits CHECK (serial BETWEEN 0 AND 4294967295),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT zone_that_is_its_own_parent CHECK (parent <> id)
) WITH (fillfactor = 70);
CREATE INDEX zones_by_parent ON zones (parent) WHERE parent IS NOT NULL;
COMMENT ON COLUMN zones.head IS 'the last sequence number in the journal';
COMMENT ON COLUMN zones.edition IS 'the number of the edition that is published; 0: nothing yet';
COMMENT ON COLUMN zones.parent IS 'the zone of the registry that delegates this home';

-- Writers of rrsets, published_rrsets, journal and editions hold the zone's row locked and removal takes the
-- rows along (zone_takes_its_records): a foreign key would cost each of them a look-up per row.
CREATE TABLE rrsets (
    zone   bigint NOT NULL,
    owner  bytea NOT NULL,
    type   integer NOT NULL CONSTRAINT rrset_with_impossible_type CHECK (type BETWEEN 1 AND 65535),
    ttl    integer NOT NULL CONSTRAINT rrset_with_negative_ttl CHECK (ttl >= 0),
    rdatas bytea[] NOT NULL CONSTRAINT rrset_without_records CHECK (cardinality(rdatas) > 0),
    CONSTRAINT rrset_twice PRIMARY KEY (zone, owner, type)
) WITH (fillfactor = 90);

CREATE TABLE published_rrsets (
    zone   bigint NOT NULL,
    owner  bytea NOT NULL,
    type   integer NOT NULL CONSTRAINT published_rrset_with_impossible_type
           CHECK (type BETWEEN 1 AND 65535 AND type <> 46),
    ttl    integer NOT NULL CONSTRAINT published_rrset_with_negative_ttl CHECK (ttl >= 0),
    rdatas bytea[] NOT NULL CONSTRAINT published_rrset_without_records CHECK (cardinality(rdatas) > 0),
    sigs   bytea[] NOT NULL DEFAULT '{}',
    CONSTRAINT published_rrset_twice PRIMARY KEY (zone, owner, type)
) WITH (fillfactor = 90);
CREATE INDEX published_nsec3 ON published_rrsets (zone, owner) WHERE type = 50;
CREATE INDEX published_nsec ON published_rrsets (zone, owner) WHERE type = 47;
COMMENT ON COLUMN published_rrsets.sigs IS 'the RRSIGs that cover this RRset';

CREATE TABLE journal (
    zone       bigint NOT NULL,
    seq        bigint NOT NULL CONSTRAINT journal_entry_before_the_first CHECK (seq > 0),
    at         timestamptz NOT NULL DEFAULT now(),
    principal  text NOT NULL,
    credential bigint,
    digest     bytea,
    change     bytea NOT NULL,
    CONSTRAINT journal_entry_twice PRIMARY KEY (zone, seq)
);
COMMENT ON COLUMN journal.digest IS 'of the signed request';

CREATE TABLE editions (
    zone        bigint NOT NULL,
    number      bigint NOT NULL CONSTRAINT edition_before_the_first CHECK (number > 0),
    from_serial bigint NOT NULL CONSTRAINT edition_from_beyond_32_bits CHECK (from_serial BETWEEN 0 AND 4294967295),
    to_serial   bigint NOT NULL CONSTRAINT edition_to_beyond_32_bits CHECK (to_serial BETWEEN 0 AND 4294967295),
    removed     bytea NOT NULL,
    added       bytea NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT edition_twice PRIMARY KEY (zone, number)
);

-- Nothing is ever looked for by these; statistics of long arrays are most of what ANALYZE would cost.
ALTER TABLE rrsets ALTER COLUMN rdatas SET STATISTICS 0;
ALTER TABLE published_rrsets ALTER COLUMN rdatas SET STATISTICS 0, ALTER COLUMN sigs SET STATISTICS 0;
ALTER TABLE journal ALTER COLUMN change SET STATISTICS 0, ALTER COLUMN digest SET STATISTICS 0;
ALTER TABLE editions ALTER COLUMN removed SET STATISTICS 0, ALTER COLUMN added SET STATISTICS 0;

CREATE FUNCTION refuse_to_rewrite_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: % is not possible', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER journal_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history();

CREATE FUNCTION take_the_records_of_removed_zones() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM rrsets WHERE zone IN (SELECT id FROM removed_zones);
    DELETE FROM published_rrsets WHERE zone IN (SELECT id FROM removed_zones);
    DELETE FROM editions WHERE zone IN (SELECT id FROM removed_zones);
    RETURN NULL;
END
$$;
CREATE TRIGGER zone_takes_its_records AFTER DELETE ON zones REFERENCING OLD TABLE AS removed_zones
    FOR EACH STATEMENT EXECUTE FUNCTION take_the_records_of_removed_zones();
"""

SIGNING = """
CREATE TABLE signing (
    zone        bigint PRIMARY KEY CONSTRAINT signing_of_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    signed_head bigint NOT NULL DEFAULT 0,
    pending     boolean NOT NULL DEFAULT false,
    resign_at   timestamptz
) WITH (fillfactor = 70);
CREATE INDEX signing_pending ON signing (zone) WHERE pending;
CREATE INDEX signing_due ON signing (resign_at) WHERE resign_at IS NOT NULL;
COMMENT ON COLUMN signing.pending IS 'rrsets are ahead of what is published';
COMMENT ON COLUMN signing.resign_at IS 'when the first signature falls due for renewal';

CREATE TABLE signing_keys (
    id         uuid PRIMARY KEY,
    zone       bigint NOT NULL CONSTRAINT signing_key_of_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    algorithm  smallint NOT NULL,
    flags      integer NOT NULL CONSTRAINT signing_key_with_impossible_flags CHECK (flags BETWEEN 0 AND 65535),
    tag        integer NOT NULL CONSTRAINT signing_key_with_impossible_tag CHECK (tag BETWEEN 0 AND 65535),
    public     bytea NOT NULL,
    state      text NOT NULL DEFAULT 'active',
    created_at timestamptz NOT NULL DEFAULT now(),
    sealed     bytea NOT NULL,
    CONSTRAINT signing_key_tag_twice_in_a_zone UNIQUE (zone, tag)
);
COMMENT ON COLUMN signing_keys.sealed IS 'the private half, sealed under the master key; for zone_signer alone';
"""

PEOPLE = """
CREATE TABLE homes (
    zone       bigint PRIMARY KEY CONSTRAINT home_without_zone REFERENCES zones (id) ON DELETE CASCADE,
    state      text NOT NULL DEFAULT 'active' CONSTRAINT home_in_unknown_state CHECK (state IN ('active', 'suspended')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE invitations (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zone       bigint NOT NULL CONSTRAINT invitation_into_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    label      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    spent_at   timestamptz,
    home       bigint CONSTRAINT invitation_spent_for_no_home REFERENCES zones (id) ON DELETE SET NULL,
    CONSTRAINT invitation_with_home_but_unspent CHECK (home IS NULL OR spent_at IS NOT NULL)
);
CREATE UNIQUE INDEX home_invited_twice ON invitations (label) WHERE spent_at IS NULL;
CREATE INDEX invitations_by_zone ON invitations (zone);
CREATE INDEX invitations_by_home ON invitations (home) WHERE home IS NOT NULL;

CREATE TABLE credentials (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       bytea NOT NULL,
    kind       text NOT NULL CONSTRAINT credential_of_unknown_kind CHECK (kind IN ('tsig', 'sig0')),
    algorithm  text NOT NULL,
    tag        integer NOT NULL DEFAULT 0 CONSTRAINT credential_with_impossible_tag CHECK (tag BETWEEN 0 AND 65535),
    public     bytea,
    secret     bytea,
    home       bigint CONSTRAINT credential_of_no_home REFERENCES zones (id) ON DELETE CASCADE,
    invitation bigint CONSTRAINT credential_of_no_invitation REFERENCES invitations (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT credential_without_its_key CHECK (
        CASE kind WHEN 'tsig' THEN secret IS NOT NULL AND public IS NULL
                  ELSE public IS NOT NULL AND secret IS NULL END)
);
CREATE UNIQUE INDEX tsig_key_twice ON credentials (name) WHERE kind = 'tsig' AND revoked_at IS NULL;
CREATE UNIQUE INDEX sig0_key_twice ON credentials (name, sha256(public)) WHERE kind = 'sig0' AND revoked_at IS NULL;
CREATE INDEX credentials_by_name ON credentials (name);
CREATE INDEX credentials_by_home ON credentials (home) WHERE home IS NOT NULL;
CREATE INDEX credentials_by_invitation ON credentials (invitation) WHERE invitation IS NOT NULL;
COMMENT ON COLUMN credentials.public IS 'the RDATA of a SIG(0) key''s KEY record';
COMMENT ON COLUMN credentials.secret IS 'a TSIG secret, sealed with the key in secrets.key';

CREATE TABLE grants (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    credential bigint NOT NULL CONSTRAINT grant_to_nobody REFERENCES credentials (id) ON DELETE CASCADE,
    zone       bigint NOT NULL CONSTRAINT grant_on_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    subtree    bytea NOT NULL,
    types      integer[] CONSTRAINT grant_of_no_types CHECK (cardinality(types) > 0),
    CONSTRAINT grant_twice UNIQUE NULLS NOT DISTINCT (credential, zone, subtree, types)
);
CREATE INDEX grants_by_zone ON grants (zone);
COMMENT ON COLUMN grants.types IS 'sorted; NULL: all types';

CREATE TABLE requests (
    digest     bytea CONSTRAINT request_answered_twice PRIMARY KEY,
    rcode      smallint NOT NULL,
    ede        smallint NOT NULL,
    text       text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX requests_expiring ON requests (expires_at);
COMMENT ON TABLE requests IS 'what was answered to which signed request, until its signature expires';
"""

# A role is created where it is missing: roles belong to the cluster, and another database of it may have made them.
# The user who migrates must be able to take each role; PostgreSQL 16 asks for SET, 15 for membership.
ROLES = """
DO $$
DECLARE
    wanted text;
    needed text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['ddns_server', 'zone_signer', 'ddns_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE 'CREATE ROLE ' || quote_ident(wanted) || ' NOSUPERUSER NOCREATEDB NOCREATEROLE LOGIN';
        END IF;
        IF NOT pg_has_role(current_user, wanted, needed) THEN
            EXECUTE 'GRANT ' || quote_ident(wanted) || ' TO ' || quote_ident(current_user);
        END IF;
        EXECUTE 'GRANT USAGE ON SCHEMA ' || quote_ident(current_schema()) || ' TO ' || quote_ident(wanted);
        EXECUTE 'GRANT SELECT ON alembic_version TO ' || quote_ident(wanted);
    END LOOP;
END
$$;

-- ddns_server faces the network: it makes homes, but removes none; it stores signing keys, but opens none.
GRANT SELECT, INSERT, UPDATE (head, edition, serial) ON zones TO ddns_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON rrsets, published_rrsets, requests TO ddns_server;
GRANT INSERT ON journal TO ddns_server;
GRANT SELECT, INSERT ON editions, homes, grants TO ddns_server;
GRANT SELECT, INSERT, UPDATE (signed_head, pending, resign_at) ON signing TO ddns_server;
GRANT INSERT, SELECT (id, zone, algorithm, flags, tag, public, state, created_at) ON signing_keys TO ddns_server;
GRANT SELECT, UPDATE (spent_at, home) ON invitations TO ddns_server;
GRANT SELECT, INSERT, UPDATE (revoked_at) ON credentials TO ddns_server;

-- zone_signer publishes: it alone reads private halves, and it prunes old editions.
GRANT SELECT, UPDATE (head, edition, serial) ON zones TO zone_signer;
GRANT SELECT, INSERT, UPDATE, DELETE ON rrsets, published_rrsets TO zone_signer;
GRANT SELECT, INSERT ON journal TO zone_signer;
GRANT SELECT, INSERT, DELETE ON editions TO zone_signer;
GRANT SELECT, INSERT, UPDATE (signed_head, pending, resign_at) ON signing TO zone_signer;
GRANT SELECT, INSERT, UPDATE (state, sealed), DELETE ON signing_keys TO zone_signer;
GRANT SELECT ON homes TO zone_signer;

-- ddns_admin is the command line: all but history and private halves.
GRANT SELECT, INSERT, UPDATE, DELETE ON zones, rrsets, published_rrsets, signing, homes, invitations, credentials,
    grants, requests TO ddns_admin;
GRANT SELECT, INSERT ON journal, editions TO ddns_admin;
GRANT INSERT, DELETE, SELECT (id, zone, algorithm, flags, tag, public, state, created_at), UPDATE (state)
    ON signing_keys TO ddns_admin;
"""

# The roles stay: other databases of the cluster may rely on them.
DOWNGRADE = """
DROP TABLE requests, grants, credentials, invitations, homes, signing_keys, signing, editions, journal,
    published_rrsets, rrsets, zones;
DROP FUNCTION take_the_records_of_removed_zones();
DROP FUNCTION refuse_to_rewrite_history();
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['ddns_server', 'zone_signer', 'ddns_admin'] LOOP
        EXECUTE 'REVOKE ALL ON alembic_version FROM ' || quote_ident(wanted);
        EXECUTE 'REVOKE USAGE ON SCHEMA ' || quote_ident(current_schema()) || ' FROM ' || quote_ident(wanted);
    END LOOP;
END
$$;
"""


def upgrade() -> None:
    execute(ZONES)
    execute(SIGNING)
    execute(PEOPLE)
    execute(ROLES)


def downgrade() -> None:
    execute(DOWNGRADE)
