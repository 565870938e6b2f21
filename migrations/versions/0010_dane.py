"""TLSA records that caches do not all have yet, or may still have, and what zones demand of theirs.

Rows only while something rolls: a record without one is established (`ddns.zone.dane`). A row whose *rdata* is empty is
about the RRset as it was before, which caches may hold. Times are the servers' clocks', never a default.

And the spelling of the records that homes publish beside them: IPSECKEY, OPENPGPKEY, CSYNC, SVCB, HTTPS and DSYNC.
"""

from ddns.migrations import execute

revision = "0010"
down_revision = "0009"

UPGRADE = """
CREATE TABLE tlsa_rolls (
    zone    bigint NOT NULL CONSTRAINT tlsa_roll_in_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    owner   bytea NOT NULL,
    rdata   bytea NOT NULL,
    phase   text NOT NULL
            CONSTRAINT tlsa_in_unknown_phase CHECK (phase IN ('published', 'safe', 'retiring', 'fading')),
    since   timestamptz NOT NULL,
    serial  bigint,
    ttl     bigint NOT NULL CONSTRAINT tlsa_with_negative_ttl CHECK (ttl >= 0),
    seen_at timestamptz,
    CONSTRAINT tlsa_roll_twice PRIMARY KEY (zone, owner, rdata),
    CONSTRAINT fading_tlsa_with_data CHECK ((phase = 'fading') = (rdata = ''))
);
COMMENT ON TABLE tlsa_rolls IS 'TLSA records that are not plainly established; none at rest';
COMMENT ON COLUMN tlsa_rolls.rdata IS 'the record; empty: what caches may hold of the RRset as it was before';
COMMENT ON COLUMN tlsa_rolls.serial IS 'of the zone, from which on it is so; NULL: not published yet';
COMMENT ON COLUMN tlsa_rolls.ttl IS 'the longest of any RRset that caches may hold instead';
COMMENT ON COLUMN tlsa_rolls.seen_at IS 'when the last of the zone''s servers was seen with that serial';

CREATE TABLE tlsa_rules (
    zone   bigint CONSTRAINT tlsa_rule_twice PRIMARY KEY REFERENCES zones (id) ON DELETE CASCADE,
    strict boolean NOT NULL,
    usages smallint[] NOT NULL
           CONSTRAINT tlsa_rule_of_unknown_usage CHECK (usages <@ '{0,1,2,3}' AND cardinality(usages) > 0)
);
COMMENT ON TABLE tlsa_rules IS 'what a zone demands of its TLSA records, where it is not what the service does';
COMMENT ON COLUMN tlsa_rules.strict IS 'updates are guarded that do not ask for it, too';
COMMENT ON COLUMN tlsa_rules.usages IS 'the certificate usages that it takes (RFC 7218 section 2.1)';

GRANT SELECT, INSERT, UPDATE, DELETE ON tlsa_rolls TO ddns_server, ddns_admin;
GRANT SELECT ON tlsa_rules TO ddns_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON tlsa_rules TO ddns_admin;
"""

SERVICE = r"""
CREATE FUNCTION dns_service(rdata bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    one record := dns_wire_name(rdata, 2);
    spelt text[] := ARRAY[dns_number(rdata, 0, 2)::text, one.name];
    names CONSTANT text[] := '{mandatory,alpn,no-default-alpn,port,ipv4hint,ech,ipv6hint,dohpath,ohttp}';
    place integer := one.next;
    key bigint;
    size bigint;
    value bytea;
    said text;
BEGIN
    WHILE place < length(rdata) LOOP
        key := dns_number(rdata, place, 2);
        size := dns_number(rdata, place + 2, 2);
        IF place + 4 + size > length(rdata) THEN
            RAISE EXCEPTION 'a parameter runs over the end of the RDATA';
        END IF;
        value := substring(rdata FROM place + 5 FOR size::integer);
        said := CASE key
            WHEN 0 THEN (SELECT string_agg(coalesce(names[1 + item], 'key' || item), ',' ORDER BY at)
                         FROM generate_series(0, size::integer - 2, 2) AS at, dns_number(value, at, 2) AS item)
            WHEN 3 THEN dns_number(value, 0, 2)::text
            WHEN 4 THEN (SELECT string_agg(dns_rdata(1, substring(value FROM at + 1 FOR 4)), ',' ORDER BY at)
                         FROM generate_series(0, size::integer - 4, 4) AS at)
            WHEN 5 THEN dns_base64(value)
            WHEN 6 THEN (SELECT string_agg(dns_rdata(28, substring(value FROM at + 1 FOR 16)), ',' ORDER BY at)
                         FROM generate_series(0, size::integer - 16, 16) AS at) END;
        -- alpn is a list of character-strings; what needs escapes twice (RFC 9460 appendix A.1) comes as keyN.
        IF key = 1 THEN
            said := replace(replace(dns_strings(value), '" "', ','), '"', '');
            IF said ~ '[\\]' OR dns_strings(value) ~ '"[^"]*,[^"]*"' THEN
                said := NULL;
            END IF;
        END IF;
        spelt := spelt || CASE
            WHEN size = 0 THEN coalesce(names[1 + key], 'key' || key)
            WHEN said IS NULL THEN 'key' || key || '=' || dns_string(value)
            ELSE names[1 + key] || '="' || said || '"' END;
        place := place + 4 + size::integer;
    END LOOP;
    RETURN array_to_string(spelt, ' ');
END
$$;
COMMENT ON FUNCTION dns_service IS 'RDATA of SVCB and HTTPS in presentation form';
"""
WHENS = r"""
    WHEN type = 45 THEN
        place := CASE get_byte(rdata, 1) WHEN 0 THEN 3 WHEN 1 THEN 7 WHEN 2 THEN 19
            WHEN 3 THEN (dns_wire_name(rdata, 3)).next END;
        RETURN concat_ws(' ', get_byte(rdata, 0), get_byte(rdata, 1), get_byte(rdata, 2),
            CASE get_byte(rdata, 1) WHEN 0 THEN '.' WHEN 1 THEN dns_rdata(1, substring(rdata FROM 4 FOR 4))
                WHEN 2 THEN dns_rdata(28, substring(rdata FROM 4 FOR 16)) ELSE (dns_wire_name(rdata, 3)).name END,
            nullif(dns_base64(substring(rdata FROM place + 1)), ''));
    WHEN type = 61 THEN
        RETURN dns_base64(rdata);
    WHEN type = 62 THEN
        RETURN concat_ws(' ', dns_number(rdata, 0, 4), dns_number(rdata, 4, 2),
            nullif(dns_types(substring(rdata FROM 7)), ''));
    WHEN type IN (64, 65) THEN
        RETURN dns_service(rdata);
    WHEN type = 66 THEN
        RETURN concat_ws(' ', dns_type(dns_number(rdata, 0, 2)::integer),
            CASE get_byte(rdata, 2) WHEN 1 THEN 'NOTIFY' ELSE get_byte(rdata, 2)::text END,
            dns_number(rdata, 3, 2), (dns_wire_name(rdata, 5)).name);
"""

# The function is as 0002 made it but for these types. It calls `dns_service`, which calls it: each looks the other up
# when it runs.
SPELLING = """
DO $do$
DECLARE
    before CONSTANT text := pg_get_functiondef('dns_rdata'::regproc);
    spelt CONSTANT text := replace(before, '%s', '%s');
BEGIN
    IF spelt = before THEN
        RAISE EXCEPTION 'dns_rdata is not the function that it ought to be';
    END IF;
    EXECUTE spelt;
END
$do$;
"""
_NEXT = "    WHEN type = 257 THEN"

DOWNGRADE = """
DROP FUNCTION dns_service;
DROP TABLE tlsa_rules, tlsa_rolls;
"""


def spelling(before: str, after: str) -> str:
    """Return the SQL that has `dns_rdata` hold *after* where it holds *before*."""
    return SPELLING % (before.replace("'", "''"), after.replace("'", "''"))


def upgrade() -> None:
    execute(UPGRADE)
    execute(SERVICE)
    execute(spelling(_NEXT, WHENS + _NEXT))


def downgrade() -> None:
    execute(spelling(WHENS + _NEXT, _NEXT))
    execute(DOWNGRADE)
