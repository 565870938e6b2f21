"""What grants say beyond a subtree and types: rules, counts, assurance, denials with a reason.

Old rows keep their meaning. On the way back the grants that the older program cannot say are taken away, which
only narrows rights; it refuses while there are denials, because without them rights would widen.
"""

from ddns.migrations import execute

revision = "0003"
down_revision = "0002"

UPGRADE = """
ALTER TABLE credentials ADD COLUMN assurance text NOT NULL DEFAULT 'manual'
    CONSTRAINT credential_of_unknown_assurance
    CHECK (assurance IN ('open', 'token', 'manual', 'qr', 'voucher', 'attested'));
COMMENT ON COLUMN credentials.assurance IS 'how sure the registry is of who holds the key, in the order of the check';
UPDATE credentials SET assurance = 'token'
WHERE invitation IS NOT NULL
   OR kind = 'sig0' AND home IN (SELECT home FROM invitations WHERE home IS NOT NULL);

ALTER TABLE grants
    ALTER COLUMN credential DROP NOT NULL,
    ADD COLUMN rule text NOT NULL DEFAULT 'subdomain' CONSTRAINT grant_by_unknown_rule
        CHECK (rule IN ('zone', 'subdomain', 'name', 'self', 'selfsub', 'wildcard', 'acme')),
    ADD COLUMN counts integer[],
    ADD COLUMN min_assurance text CONSTRAINT grant_of_unknown_assurance
        CHECK (min_assurance IN ('open', 'token', 'manual', 'qr', 'voucher', 'attested')),
    ADD COLUMN denied text,
    ADD COLUMN homes boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT grant_that_counts_other_types CHECK (
        counts IS NULL OR
        types IS NOT NULL AND cardinality(counts) = cardinality(types) AND 0 <= ALL (counts) AND 0 < ANY (counts)),
    ADD CONSTRAINT grant_to_everybody CHECK (credential IS NOT NULL OR denied IS NOT NULL),
    ADD CONSTRAINT denial_without_reason CHECK (length(denied) BETWEEN 1 AND 80),
    ADD CONSTRAINT grant_in_homes_by_one_key CHECK (NOT homes OR credential IS NULL),
    DROP CONSTRAINT grant_twice,
    ADD CONSTRAINT grant_twice
        UNIQUE NULLS NOT DISTINCT (credential, zone, subtree, types, rule, counts, min_assurance, denied, homes);
CREATE INDEX grants_to_everybody ON grants (zone) WHERE credential IS NULL;
UPDATE grants SET rule = 'zone' FROM zones WHERE zones.id = grants.zone AND zones.origin = grants.subtree;
COMMENT ON COLUMN grants.credential IS 'NULL: a denial for every key';
COMMENT ON COLUMN grants.subtree IS 'the name that the rule speaks of';
COMMENT ON COLUMN grants.counts IS 'how many records of each of types a name may have, 0: any number';
COMMENT ON COLUMN grants.denied IS 'the reason of a denial; NULL: a grant';
COMMENT ON COLUMN grants.homes IS 'a denial in the homes that the zone delegates';
"""

DOWNGRADE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM grants WHERE denied IS NOT NULL) THEN
        RAISE EXCEPTION 'the older program knows no deny rules and would allow what they forbid'
            USING HINT = 'Take them back first, with ddns grant list and ddns grant remove.';
    END IF;
END
$$;
DELETE FROM grants
WHERE rule NOT IN ('zone', 'subdomain', 'selfsub') OR counts IS NOT NULL OR min_assurance IS NOT NULL;
DELETE FROM grants AS newer USING grants AS older
WHERE (newer.credential, newer.zone, newer.subtree) = (older.credential, older.zone, older.subtree)
  AND newer.types IS NOT DISTINCT FROM older.types AND newer.id > older.id;
DROP INDEX grants_to_everybody;
ALTER TABLE grants
    DROP CONSTRAINT grant_twice,
    DROP CONSTRAINT grant_that_counts_other_types,
    DROP CONSTRAINT grant_to_everybody,
    DROP CONSTRAINT denial_without_reason,
    DROP CONSTRAINT grant_in_homes_by_one_key,
    DROP COLUMN rule,
    DROP COLUMN counts,
    DROP COLUMN min_assurance,
    DROP COLUMN denied,
    DROP COLUMN homes,
    ALTER COLUMN credential SET NOT NULL,
    ADD CONSTRAINT grant_twice UNIQUE NULLS NOT DISTINCT (credential, zone, subtree, types);
COMMENT ON COLUMN grants.credential IS NULL;
COMMENT ON COLUMN grants.subtree IS NULL;
ALTER TABLE credentials DROP COLUMN assurance;
"""


def upgrade() -> None:
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
