"""Policies of tenants for their homes, as data: methods, labels, times; and denials of one tenant, or of addresses.

A policy's rules about kinds of devices, types and addresses are denials among the grants, so that there is one judge.
"""

from ddns.migrations import execute
from ddns.migrations.walls import OWN, only_for, open_again, walled

revision = "0014"
down_revision = "0013"

UPGRADE = """
CREATE TABLE home_policies (
    tenant         bigint NOT NULL,
    zone           bigint NOT NULL,
    methods        text[] NOT NULL DEFAULT '{invitation}',
    least          text NOT NULL DEFAULT 'token' CONSTRAINT home_policy_of_unknown_assurance
                   CHECK (least IN ('open', 'token', 'manual', 'qr', 'voucher', 'attested')),
    owner_required boolean NOT NULL DEFAULT false,
    labels         text NOT NULL DEFAULT 'both'
                   CONSTRAINT home_policy_of_unknown_labels CHECK (labels IN ('chosen', 'allocated', 'both')),
    label_least    smallint NOT NULL DEFAULT 1,
    label_most     smallint NOT NULL DEFAULT 63,
    label_style    text NOT NULL DEFAULT 'words'
                   CONSTRAINT home_policy_of_unknown_style CHECK (label_style IN ('words', 'hex')),
    reserved       text[] NOT NULL DEFAULT '{}',
    idn            text[] NOT NULL DEFAULT '{latin}',
    rest           bigint NOT NULL DEFAULT 7776000 CONSTRAINT home_policy_with_negative_rest CHECK (rest >= 0),
    lease_most     bigint CONSTRAINT home_policy_with_no_lease CHECK (lease_most > 0),
    key_lease_most bigint CONSTRAINT home_policy_with_no_key_lease CHECK (key_lease_most > 0),
    claim_wait     bigint NOT NULL DEFAULT 2592000
                   CONSTRAINT claim_that_waits_less_than_a_week CHECK (claim_wait >= 604800),
    recovery_wait  bigint NOT NULL DEFAULT 259200
                   CONSTRAINT recovery_that_waits_less_than_a_day CHECK (recovery_wait >= 86400),
    registry_wait  bigint NOT NULL DEFAULT 1209600
                   CONSTRAINT registry_that_waits_less_than_a_week CHECK (registry_wait >= 604800),
    claim_rest     bigint NOT NULL DEFAULT 31536000
                   CONSTRAINT home_policy_with_negative_claim_rest CHECK (claim_rest >= 0),
    CONSTRAINT home_policy_twice PRIMARY KEY (tenant, zone),
    CONSTRAINT home_policy_for_a_zone_of_others FOREIGN KEY (tenant, zone) REFERENCES tenant_zones (tenant, zone)
        ON DELETE CASCADE,
    CONSTRAINT labels_of_no_length CHECK (label_least BETWEEN 1 AND label_most AND label_most <= 63)
);
COMMENT ON TABLE home_policies IS 'what a tenant asks of homes in a zone; without a row, the defaults';
COMMENT ON COLUMN home_policies.rest IS 'seconds, as all times here';

CREATE TABLE idn_tables (
    name       text NOT NULL,
    tenant     bigint CONSTRAINT idn_table_of_no_tenant REFERENCES tenants (id),
    codepoints int4multirange NOT NULL,
    CONSTRAINT idn_table_twice UNIQUE NULLS NOT DISTINCT (name, tenant)
);
COMMENT ON COLUMN idn_tables.tenant IS 'NULL: everybody''s';

ALTER TABLE grants
    ADD COLUMN tenant    bigint CONSTRAINT grant_for_no_tenant REFERENCES tenants (id),
    ADD COLUMN addresses cidr[] CONSTRAINT grant_of_no_addresses CHECK (cardinality(addresses) > 0),
    ADD COLUMN origin    text NOT NULL DEFAULT '',
    DROP CONSTRAINT grant_by_unknown_rule,
    ADD CONSTRAINT grant_by_unknown_rule
        CHECK (rule IN ('zone', 'subdomain', 'name', 'self', 'selfsub', 'wildcard', 'acme', 'within')),
    ADD CONSTRAINT grant_within_no_homes CHECK (rule <> 'within' OR homes),
    ADD CONSTRAINT grant_that_is_no_denial CHECK ((tenant IS NULL AND addresses IS NULL) OR denied IS NOT NULL),
    DROP CONSTRAINT grant_twice,
    ADD CONSTRAINT grant_twice UNIQUE NULLS NOT DISTINCT
        (credential, zone, subtree, types, rule, counts, min_assurance, denied, homes, tenant, addresses);
COMMENT ON COLUMN grants.tenant IS 'a denial in homes of this tenant alone; NULL: in all';
COMMENT ON COLUMN grants.addresses IS 'a denial of A and AAAA in these networks; NULL: whatever the addresses';
COMMENT ON COLUMN grants.origin IS 'what of a policy wrote it, and writes it anew, such as kind:lock; empty: by hand';

-- How people read the labels of homes that were there before, and what stands for all that look like them: see
-- ddns.homes.skeletons, where of the letters in ASCII only these two look like others.
UPDATE homes SET label_shown = made.label, skeleton = replace(replace(made.label, 'm', 'rn'), '1', 'l')
FROM (
    SELECT zones.id, convert_from(substr(zones.origin, length(registries.origin) + 1,
                                         length(zones.origin) - length(registries.origin) - 2), 'LATIN1') AS label
    FROM zones JOIN zones AS registries ON registries.id = zones.parent
) AS made
WHERE made.id = homes.zone;
CREATE INDEX homes_by_label ON homes (tenant, label_shown COLLATE "C", zone);
CREATE INDEX homes_by_age ON homes (tenant, created_at);

-- Whether some home's name looks like another, whoever has it: over the wall, so it says no more than yes or no. The
-- index homes_by_skeleton is found by the very words of its condition, and each home is looked up by itself.
CREATE FUNCTION label_alike(registry bigint, name bytea, looks text, plain boolean) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT EXISTS (
        SELECT FROM homes
        WHERE homes.skeleton = looks AND homes.skeleton <> '' AND NOT (plain AND homes.label_shown ~ '^[ -~]*$')
              AND EXISTS (SELECT FROM zones WHERE zones.id = homes.zone AND zones.parent = registry
                                                  AND zones.origin <> name OFFSET 0))
$$;

CREATE TABLE complaints (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant   bigint NOT NULL DEFAULT ddns_tenant() CONSTRAINT complaint_at_no_tenant REFERENCES tenants (id),
    zone     bigint NOT NULL CONSTRAINT complaint_about_no_home REFERENCES homes (zone) ON DELETE CASCADE,
    at       timestamptz NOT NULL,
    what     text NOT NULL CONSTRAINT complaint_of_unknown_kind
             CHECK (what IN ('spam', 'phishing', 'malware', 'attack', 'impersonation', 'other')),
    evidence text NOT NULL CONSTRAINT complaint_without_evidence CHECK (evidence <> ''),
    who      text NOT NULL
);
CREATE INDEX complaints_by_zone ON complaints (zone, at);
CREATE INDEX complaints_by_time ON complaints (tenant, at);
COMMENT ON TABLE complaints IS 'what somebody said about a home, for people to look at; nothing follows by itself';
COMMENT ON COLUMN complaints.who IS 'the operator who wrote it down';

GRANT SELECT, INSERT, UPDATE, DELETE ON home_policies, idn_tables TO ddns_admin;
GRANT SELECT, INSERT, UPDATE ON home_policies TO ddns_web;
GRANT SELECT ON home_policies, idn_tables TO ddns_server;
GRANT SELECT, INSERT, DELETE ON idn_tables TO ddns_web;
GRANT SELECT, INSERT ON complaints TO ddns_web, ddns_admin;
GRANT SELECT, INSERT, DELETE ON grants TO ddns_web;
"""
ALIKE = ("label_alike(bigint, bytea, text, boolean)",)

SHARED = f"tenant IS NULL OR {OWN}"
# A rule for everybody in a shared zone binds those whose tenant says it; a key's rules are those of its home.
GRANT = (
    "(grants.tenant IS NULL OR grants.tenant = ddns_seen())"
    " AND EXISTS (SELECT FROM zones WHERE zones.id = grants.zone)"
    " AND (grants.credential IS NULL OR EXISTS (SELECT FROM credentials WHERE credentials.id = grants.credential))"
)
MADE_GRANT = (
    "EXISTS (SELECT FROM zones WHERE zones.id = grants.zone"
    " AND (zones.tenant = ddns_seen() OR grants.tenant = ddns_seen()))"
    " AND (grants.credential IS NULL OR EXISTS (SELECT FROM credentials WHERE credentials.id = grants.credential))"
)
WALLS = (
    ("home_policies", OWN),
    ("idn_tables", SHARED, OWN),
    ("complaints", OWN),
    ("grants", GRANT, f"{GRANT} AND {MADE_GRANT}"),
)

DOWNGRADE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM grants WHERE tenant IS NOT NULL OR addresses IS NOT NULL OR rule = 'within') THEN
        RAISE EXCEPTION 'the older program knows no denials of a tenant, of addresses or within homes'
            USING HINT = 'Take them back first, with ddns grant list and ddns grant remove.';
    END IF;
END
$$;
REVOKE ALL ON grants FROM ddns_web;
ALTER TABLE grants
    DROP CONSTRAINT grant_twice,
    DROP CONSTRAINT grant_that_is_no_denial,
    DROP CONSTRAINT grant_within_no_homes,
    DROP CONSTRAINT grant_by_unknown_rule,
    ADD CONSTRAINT grant_by_unknown_rule
        CHECK (rule IN ('zone', 'subdomain', 'name', 'self', 'selfsub', 'wildcard', 'acme')),
    DROP COLUMN tenant, DROP COLUMN addresses, DROP COLUMN origin,
    ADD CONSTRAINT grant_twice
        UNIQUE NULLS NOT DISTINCT (credential, zone, subtree, types, rule, counts, min_assurance, denied, homes);
DROP TABLE complaints, idn_tables, home_policies;
DROP FUNCTION label_alike;
DROP INDEX homes_by_label, homes_by_age;
"""


def upgrade() -> None:
    execute(UPGRADE)
    execute(only_for("ddns_web, ddns_admin, ddns_server", ALIKE))
    for table, *rows in WALLS:
        execute(walled(table, *rows))


def downgrade() -> None:
    for table, *_ in WALLS:
        execute(open_again(table))
    execute(DOWNGRADE)
