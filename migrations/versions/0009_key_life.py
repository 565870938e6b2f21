"""How keys live: policies, where each record of a key is in the world's caches, what was asked for and what was seen.

A step of the key machine is one transaction; between two of them nothing is remembered but these rows. Only what moves
has rows beside its key: a million homes at rest have none. Times are the signer's clock's, never a default.

Before this is applied, signers of the version before must have stopped: they sign with every key that is 'active'.
"""

from ddns.migrations import execute

revision = "0009"
down_revision = "0008"

POLICIES = """
CREATE TABLE signing_policies (
    name            text CONSTRAINT signing_policy_twice PRIMARY KEY
                    CONSTRAINT signing_policy_with_odd_name CHECK (name ~ '^[a-z][a-z0-9-]{0,31}$'),
    scheme          text NOT NULL DEFAULT 'csk'
                    CONSTRAINT policy_of_unknown_scheme CHECK (scheme IN ('csk', 'ksk+zsk')),
    algorithm       smallint CONSTRAINT policy_of_unknown_algorithm CHECK (algorithm IN (8, 13, 14, 15)),
    csk_lifetime    bigint NOT NULL DEFAULT 0,
    ksk_lifetime    bigint NOT NULL DEFAULT 0,
    zsk_lifetime    bigint NOT NULL DEFAULT 7776000,
    lifetime_jitter real NOT NULL DEFAULT 0.1
                    CONSTRAINT policy_with_odd_jitter CHECK (lifetime_jitter BETWEEN 0 AND 0.5),
    backdate        bigint NOT NULL DEFAULT 3600,
    validity        bigint NOT NULL DEFAULT 1209600,
    jitter          bigint NOT NULL DEFAULT 172800,
    refresh         bigint NOT NULL DEFAULT 302400,
    dnskey_ttl      integer NOT NULL DEFAULT 3600,
    publish_safety  bigint NOT NULL DEFAULT 3600,
    retire_safety   bigint NOT NULL DEFAULT 3600,
    ds_ttl          bigint NOT NULL DEFAULT 86400,
    parent_check    text NOT NULL DEFAULT 'auto'
                    CONSTRAINT policy_of_unknown_parent_check CHECK (parent_check IN ('auto', 'manual')),
    parent_servers  text[] NOT NULL DEFAULT '{}',
    cds             text NOT NULL DEFAULT 'rolls'
                    CONSTRAINT policy_of_unknown_cds CHECK (cds IN ('rolls', 'always', 'never')),
    watch           text NOT NULL DEFAULT 'all'
                    CONSTRAINT policy_of_unknown_watch CHECK (watch IN ('all', 'targets', 'none')),
    patience        bigint NOT NULL DEFAULT 86400,
    purge_after     bigint NOT NULL DEFAULT 7776000,
    vault           text NOT NULL DEFAULT 'sealed'
                    CONSTRAINT policy_of_unknown_vault CHECK (vault ~ '^(sealed|pkcs11:[a-z0-9-]+)$'),
    woken           bigint,
    CONSTRAINT policy_with_negative_time CHECK (
        least(csk_lifetime, ksk_lifetime, zsk_lifetime, backdate, jitter, dnskey_ttl, publish_safety, retire_safety,
              ds_ttl, patience, purge_after) >= 0),
    CONSTRAINT policy_that_refreshes_too_late CHECK (refresh >= 259200 AND validity >= jitter + 2 * refresh),
    CONSTRAINT policy_with_lifetime_below_a_day CHECK (
        (csk_lifetime = 0 OR csk_lifetime >= 86400) AND (ksk_lifetime = 0 OR ksk_lifetime >= 86400)
        AND (zsk_lifetime = 0 OR zsk_lifetime >= 86400))
);
COMMENT ON TABLE signing_policies IS 'how zones are signed and how their keys live; all times in seconds';
COMMENT ON COLUMN signing_policies.algorithm IS 'NULL: the zone''s own';
COMMENT ON COLUMN signing_policies.zsk_lifetime IS 'as all lifetimes; 0: a key rolls when somebody asks';
COMMENT ON COLUMN signing_policies.lifetime_jitter IS 'the part of a lifetime by which keys made together end apart';
COMMENT ON COLUMN signing_policies.refresh IS 'signatures are made anew so long before they end: a signer may be away';
COMMENT ON COLUMN signing_policies.ds_ttl IS 'assumed where the parent has not said';
COMMENT ON COLUMN signing_policies.parent_servers IS 'address:port each, to be asked for the DS';
COMMENT ON COLUMN signing_policies.patience IS 'a step that waits longer is an alarm';
COMMENT ON COLUMN signing_policies.purge_after IS 'the public half of a removed key is kept so long';
COMMENT ON COLUMN signing_policies.woken IS
    'after a change: the id up to which zones have had their keys looked at; NULL: all have';
INSERT INTO signing_policies (name, csk_lifetime) VALUES ('default', 0), ('home', 63072000);

ALTER TABLE zones
    ADD COLUMN policy text CONSTRAINT zone_under_no_policy REFERENCES signing_policies (name),
    ADD COLUMN keyset bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN zones.policy IS 'NULL: home where the zone has a parent here, else default';
COMMENT ON COLUMN zones.keyset IS 'another number whenever who signs what is another; nobody signs with another';
"""

ALGORITHMS = """
ALTER DOMAIN zone_algorithm DROP CONSTRAINT zone_with_unknown_algorithm;
ALTER DOMAIN zone_algorithm ADD CONSTRAINT zone_with_unknown_algorithm CHECK (VALUE IN (%s));
"""

KEYS = """
ALTER TABLE signing
    ADD COLUMN step_at timestamptz,
    ADD COLUMN wish text NOT NULL DEFAULT 'secure'
        CONSTRAINT signing_of_unknown_wish CHECK (wish IN ('secure', 'insecure')),
    ADD COLUMN whole_at timestamptz,
    ADD COLUMN whole_serial bigint,
    ADD COLUMN max_ttl integer,
    ADD COLUMN max_ttl_at timestamptz,
    ADD COLUMN dnskey_ttl integer,
    ADD COLUMN dnskey_ttl_at timestamptz,
    ADD COLUMN problem text NOT NULL DEFAULT '',
    ADD COLUMN problem_since timestamptz;
CREATE INDEX signing_steps ON signing (step_at) WHERE step_at IS NOT NULL;
CREATE INDEX signing_problems ON signing (zone) WHERE problem <> '';
COMMENT ON COLUMN signing.step_at IS 'when the key machine looks at the zone again';
COMMENT ON COLUMN signing.wish IS 'insecure: the zone is on its way to lose its signatures; denial is none then';
COMMENT ON COLUMN signing.whole_at IS 'since when every RRset has the signatures of today''s keys; NULL: not yet';
COMMENT ON COLUMN signing.whole_serial IS 'the serial of then';
COMMENT ON COLUMN signing.max_ttl IS 'the greatest TTL that was published of late';
COMMENT ON COLUMN signing.dnskey_ttl IS 'the greatest TTL of a DNSKEY RRset that was published of late';
COMMENT ON COLUMN signing.max_ttl_at IS 'when it was published last: a month later it is forgotten';
COMMENT ON COLUMN signing.dnskey_ttl_at IS 'when it was published last: a month later it is forgotten';
COMMENT ON COLUMN signing.problem IS 'why the last step or signing was not done';

ALTER TABLE signing_keys
    ADD COLUMN role text NOT NULL DEFAULT 'csk'
        CONSTRAINT signing_key_of_unknown_role CHECK (role IN ('csk', 'ksk', 'zsk')),
    ADD COLUMN vault text NOT NULL DEFAULT 'sealed',
    ADD COLUMN stays boolean NOT NULL DEFAULT true,
    ADD COLUMN compromised boolean NOT NULL DEFAULT false,
    ADD COLUMN dnskey text NOT NULL DEFAULT 'omnipresent',
    ADD COLUMN zrrsig text NOT NULL DEFAULT 'omnipresent',
    ADD COLUMN ds text NOT NULL DEFAULT 'omnipresent',
    ADD COLUMN predecessor uuid,
    ADD COLUMN born_at timestamptz,
    ADD COLUMN removed_at timestamptz,
    ALTER COLUMN sealed DROP NOT NULL;
UPDATE signing_keys SET ds = 'rumoured' FROM zones WHERE zones.id = signing_keys.zone AND zones.parent IS NULL;
UPDATE signing_keys SET dnskey = 'hidden', zrrsig = 'hidden', ds = 'hidden', state = 'generated'
FROM zones WHERE zones.id = signing_keys.zone AND zones.denial = 'none';
ALTER TABLE signing_keys
    ADD CONSTRAINT signing_key_in_unknown_phase CHECK (
        dnskey IN ('hidden', 'rumoured', 'omnipresent', 'unretentive')
        AND zrrsig IN ('none', 'hidden', 'rumoured', 'omnipresent', 'unretentive')
        AND ds IN ('none', 'hidden', 'rumoured', 'omnipresent', 'unretentive')),
    ADD CONSTRAINT signing_key_with_the_records_of_another_role CHECK (
        (role = 'ksk') = (zrrsig = 'none') AND (role = 'zsk') = (ds = 'none')),
    ADD CONSTRAINT signing_key_in_unknown_state CHECK (
        state IN ('generated', 'published', 'ready', 'active', 'retired', 'dead', 'removed')),
    ADD CONSTRAINT living_key_without_private_half CHECK (sealed IS NOT NULL OR state = 'removed');
CREATE INDEX signing_keys_moving ON signing_keys (zone) WHERE NOT stays;
COMMENT ON COLUMN signing_keys.vault IS 'where the private half is: sealed, or on a token';
COMMENT ON COLUMN signing_keys.stays IS 'false: the key is on its way out';
COMMENT ON COLUMN signing_keys.dnskey IS 'the phase of its DNSKEY: where caches may have it';
COMMENT ON COLUMN signing_keys.zrrsig IS 'the phase of its signatures over the zone';
COMMENT ON COLUMN signing_keys.ds IS 'the phase of its DS at the parent';
COMMENT ON COLUMN signing_keys.state IS 'the word of RFC 7583 for these phases; derived, for people';
COMMENT ON COLUMN signing_keys.born_at IS 'by the signer''s clock; NULL: created_at';
COMMENT ON COLUMN signing_keys.removed_at IS 'when the private half was destroyed';

CREATE TABLE key_motions (
    key     uuid CONSTRAINT motion_of_no_key REFERENCES signing_keys (id) ON DELETE CASCADE,
    record  text CONSTRAINT motion_of_unknown_record CHECK (record IN ('dnskey', 'zrrsig', 'ds')),
    zone    bigint NOT NULL,
    since   timestamptz NOT NULL,
    place   bigint NOT NULL,
    serial  bigint,
    ttl     bigint NOT NULL,
    seen_at timestamptz,
    waits   text NOT NULL DEFAULT '',
    CONSTRAINT motion_twice PRIMARY KEY (key, record)
);
CREATE INDEX motions_by_zone ON key_motions (zone);
CREATE INDEX motions_by_place ON key_motions (place);
COMMENT ON TABLE key_motions IS 'records of keys that have not settled in the world''s caches; none for zones at rest';
COMMENT ON COLUMN key_motions.place IS 'the zone whose servers must show it; 0: a parent elsewhere';
COMMENT ON COLUMN key_motions.serial IS 'of that zone, from which on its servers show it; NULL: a parent elsewhere';
COMMENT ON COLUMN key_motions.ttl IS 'of what caches may still hold instead';
COMMENT ON COLUMN key_motions.seen_at IS 'when the last server had shown it';

CREATE TABLE key_events (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zone     bigint NOT NULL,
    at       timestamptz NOT NULL,
    key      uuid,
    tag      integer,
    record   text NOT NULL,
    before   text NOT NULL,
    after    text NOT NULL,
    why      text NOT NULL,
    evidence text NOT NULL DEFAULT ''
);
CREATE INDEX key_events_by_zone ON key_events (zone, id);
COMMENT ON TABLE key_events IS 'what happened to keys, and why; a zone that is removed leaves its events';
CREATE TRIGGER key_events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON key_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_history();

CREATE TABLE signing_orders (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zone      bigint NOT NULL CONSTRAINT order_for_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    kind      text NOT NULL CONSTRAINT order_of_unknown_kind CHECK (
                  kind IN ('roll', 'emergency', 'insecure', 'secure', 'ds-seen', 'ds-gone', 'cancel', 'without',
                           'resign')),
    role      text CONSTRAINT order_for_unknown_role CHECK (role IN ('csk', 'ksk', 'zsk')),
    tag       integer,
    denial    text CONSTRAINT order_of_unknown_denial CHECK (denial IN ('nsec3', 'nsec')),
    server    text,
    principal text NOT NULL,
    at        timestamptz NOT NULL
);
CREATE INDEX orders_by_zone ON signing_orders (zone, id);
COMMENT ON TABLE signing_orders IS 'what people have asked the signer for; the step that does it takes the row away';
COMMENT ON COLUMN signing_orders.denial IS 'what secure signs with';
COMMENT ON COLUMN signing_orders.server IS 'the one that without does without';

-- The signer has the zone's row locked, and then this one, before it reads orders: none is lost between the two. The
-- look-up of the zone by its reference comes first, so that both are locked in that order here too.
CREATE FUNCTION orders_wake_the_signer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE signing SET step_at = least(step_at, NEW.at) WHERE zone = NEW.zone;
    PERFORM pg_notify('ddns_pending', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER orders_that_are_given AFTER INSERT ON signing_orders FOR EACH ROW
    EXECUTE FUNCTION orders_wake_the_signer();

CREATE TABLE sightings (
    zone        bigint NOT NULL CONSTRAINT sighting_of_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    kind        text NOT NULL
                CONSTRAINT sighting_of_unknown_kind CHECK (kind IN ('secondary', 'parent', 'child', 'dsync')),
    server      text NOT NULL,
    wanted      boolean NOT NULL DEFAULT true,
    asked_at    timestamptz NOT NULL,
    answered_at timestamptz,
    serial      bigint,
    ds          bytea[],
    ds_ttl      integer,
    problem     text NOT NULL DEFAULT '',
    CONSTRAINT sighting_twice PRIMARY KEY (zone, kind, server)
);
COMMENT ON TABLE sightings IS 'what each server said when it was asked last';
COMMENT ON COLUMN sightings.server IS 'its name and address; empty: when the list of servers was made';
COMMENT ON COLUMN sightings.wanted IS 'false: no longer among the zone''s servers';

CREATE TABLE signers (
    name        text CONSTRAINT signer_twice PRIMARY KEY,
    seen_at     timestamptz NOT NULL,
    database_at timestamptz NOT NULL DEFAULT now(),
    masters     bytea[] NOT NULL,
    held        text NOT NULL DEFAULT ''
);
COMMENT ON TABLE signers IS 'every process that opens keys, when it was seen last, and which master keys it holds';
COMMENT ON COLUMN signers.held IS 'why it signs nothing';

CREATE TABLE signer_clock (
    one      boolean CONSTRAINT signer_clock_row PRIMARY KEY DEFAULT true
             CONSTRAINT signer_clock_twice CHECK (one),
    high     timestamptz NOT NULL DEFAULT '-infinity',
    accepted timestamptz
);
COMMENT ON COLUMN signer_clock.high IS 'the latest time that any signer has signed by';
COMMENT ON COLUMN signer_clock.accepted IS 'until when a person has taken the clock for right';
INSERT INTO signer_clock DEFAULT VALUES;
"""

RIGHTS = """
GRANT SELECT ON signing_policies, key_motions, signing_orders TO ddns_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON sightings TO ddns_server;
GRANT UPDATE (step_at) ON signing TO ddns_server;
GRANT SELECT (id, zone, algorithm, flags, tag, public, state, role, vault, stays, dnskey, zrrsig, ds, created_at,
              born_at, removed_at)
    ON signing_keys TO ddns_server, ddns_admin;

GRANT SELECT ON signing_policies, sightings TO zone_signer;
GRANT UPDATE (woken) ON signing_policies TO zone_signer;
GRANT UPDATE (denial, keyset) ON zones TO zone_signer;
GRANT UPDATE (step_at, wish, whole_at, whole_serial, max_ttl, max_ttl_at, dnskey_ttl, dnskey_ttl_at, problem,
              problem_since)
    ON signing TO zone_signer;
GRANT UPDATE (role, vault, stays, compromised, dnskey, zrrsig, ds, removed_at) ON signing_keys TO zone_signer;
GRANT SELECT, INSERT, UPDATE, DELETE ON key_motions, signers TO zone_signer;
GRANT SELECT, INSERT, DELETE ON signing_orders TO zone_signer;
GRANT SELECT, INSERT ON key_events TO zone_signer;
GRANT SELECT, UPDATE ON signer_clock TO zone_signer;

GRANT SELECT, INSERT, UPDATE, DELETE ON signing_policies TO ddns_admin;
GRANT SELECT ON key_motions, key_events, sightings, signers, signer_clock TO ddns_admin;
GRANT SELECT (compromised, predecessor) ON signing_keys TO ddns_admin;
GRANT SELECT, INSERT, DELETE ON signing_orders TO ddns_admin;
"""

# What an update was judged by now says by which keys, too. The function is as 0007 made it but for these two places;
# `ddns.store.standing` builds the same text.
COMMITS = """
DO $do$
DECLARE
    before CONSTANT text := pg_get_functiondef('commit_updates'::regproc);
    alone CONSTANT text := replace(before, 'basis%s) = alone.state', 'basis%s) = alone.state');
    asked CONSTANT text := replace(alone, 'zones.basis%s) = asked.state', 'zones.basis%s) = asked.state');
BEGIN
    IF alone = before OR asked = alone THEN
        RAISE EXCEPTION 'commit_updates is not the function that it ought to be';
    END IF;
    EXECUTE asked;
END
$do$;
"""

DOWNGRADE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM zones WHERE algorithm NOT IN (13, 15))
       OR EXISTS (SELECT FROM signing_keys
                  WHERE state <> 'removed' AND (algorithm NOT IN (13, 15) OR vault <> 'sealed'))
    THEN
        RAISE EXCEPTION 'the older program knows neither algorithms 8 and 14 nor keys on a token'
            USING HINT = 'Roll the keys to algorithm 13 or 15 and into the database first.';
    END IF;
    IF EXISTS (SELECT FROM signing WHERE wish <> 'secure')
       OR EXISTS (SELECT FROM signing_keys JOIN zones ON zones.id = signing_keys.zone
                  WHERE zones.denial <> 'none' AND state <> 'removed'
                  GROUP BY zone HAVING count(*) > 1 OR bool_or(state <> 'active' OR role <> 'csk' OR NOT stays))
    THEN
        RAISE EXCEPTION 'the older program signs with one key that never changes, and some zones have others'
            USING HINT = 'Wait until no key rolls and every zone has one key of role csk: zone-signer plan shows when.';
    END IF;
END
$$;
DROP TABLE signer_clock, signers, sightings, signing_orders, key_events, key_motions;
DROP FUNCTION orders_wake_the_signer;
DELETE FROM signing_keys WHERE state = 'removed';
DROP INDEX signing_keys_moving;
ALTER TABLE signing_keys
    DROP CONSTRAINT signing_key_in_unknown_phase,
    DROP CONSTRAINT signing_key_with_the_records_of_another_role,
    DROP CONSTRAINT signing_key_in_unknown_state,
    DROP CONSTRAINT living_key_without_private_half,
    ALTER COLUMN sealed SET NOT NULL,
    DROP COLUMN role, DROP COLUMN vault, DROP COLUMN stays, DROP COLUMN compromised, DROP COLUMN dnskey,
    DROP COLUMN zrrsig, DROP COLUMN ds, DROP COLUMN predecessor, DROP COLUMN born_at, DROP COLUMN removed_at;
UPDATE signing_keys SET state = 'active';
COMMENT ON COLUMN signing_keys.state IS NULL;
DROP INDEX signing_steps, signing_problems;
ALTER TABLE signing
    DROP COLUMN step_at, DROP COLUMN wish, DROP COLUMN whole_at, DROP COLUMN whole_serial, DROP COLUMN max_ttl,
    DROP COLUMN max_ttl_at, DROP COLUMN dnskey_ttl, DROP COLUMN dnskey_ttl_at, DROP COLUMN problem,
    DROP COLUMN problem_since;
REVOKE UPDATE (denial) ON zones FROM zone_signer;
ALTER TABLE zones DROP COLUMN policy, DROP COLUMN keyset;
DROP TABLE signing_policies;
"""


def upgrade() -> None:
    execute(POLICIES)
    execute(ALGORITHMS % "8, 13, 14, 15")
    execute(KEYS)
    execute(COMMITS % ("", ", keyset", "", ", zones.keyset"))
    execute(RIGHTS)


def downgrade() -> None:
    execute(COMMITS % (", keyset", "", ", zones.keyset", ""))
    execute(DOWNGRADE)
    execute(ALGORITHMS % "13, 15")
