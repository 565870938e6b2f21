r"""Records in presentation form, so that an operator with psql can read a zone.

The views `records` and `published_records` stand on functions that spell names, types and RDATA as
master files do (RFC 1035 §5.1, RFC 4034, RFC 6698, RFC 8659); types without a spelling here, and RDATA
that does not parse, come as RFC 3597 §5 has it: `\# length hex`.

A function that calls another one brings its search path: those who call it have theirs, and Postgres itself
has none while it analyses or restores the index over names.
"""

from ddns.migrations import execute

revision = "0002"
down_revision = "0001"

NAMES = r"""
CREATE FUNCTION dns_label(label bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    plain CONSTANT text := '^[-_*/a-zA-Z0-9]*$';
    spelt text := encode(label, 'escape');
    octet integer;
BEGIN
    IF spelt ~ plain THEN
        RETURN spelt;
    END IF;
    spelt := '';
    FOR place IN 0 .. length(label) - 1 LOOP
        octet := get_byte(label, place);
        spelt := spelt || CASE
            WHEN octet BETWEEN 33 AND 126 THEN CASE WHEN chr(octet) ~ plain THEN '' ELSE '\' END || chr(octet)
            ELSE '\' || lpad(octet::text, 3, '0') END;
    END LOOP;
    RETURN spelt;
END
$$;
COMMENT ON FUNCTION dns_label IS 'one label in presentation form';

CREATE FUNCTION dns_name(key bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    spelt text := '';
    label bytea := '';
    place integer := 0;
    easy text := encode(key, 'escape');
BEGIN
    IF key = '' THEN
        RETURN '.';
    END IF;
    IF replace(easy, '\000\000', '') ~ '^[-a-z0-9_*]*$' THEN
        RETURN (SELECT string_agg(part, '.' ORDER BY depth DESC) || '.'
                FROM unnest(string_to_array(left(easy, -8), '\000\000')) WITH ORDINALITY AS labels (part, depth));
    END IF;
    WHILE place < length(key) LOOP
        IF get_byte(key, place) <> 0 THEN
            label := label || substring(key FROM place + 1 FOR 1);
            place := place + 1;
        ELSIF get_byte(key, place + 1) = 0 THEN
            spelt := dns_label(label) || '.' || spelt;
            label := '';
            place := place + 2;
        ELSE
            label := label || '\x00'::bytea;
            place := place + 2;
        END IF;
    END LOOP;
    RETURN spelt;
END
$$;
COMMENT ON FUNCTION dns_name IS 'a stored name (labels from the root down, each ended by two zero octets) as text';

CREATE FUNCTION dns_wire_name(rdata bytea, start integer, OUT name text, OUT next integer)
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    size integer;
BEGIN
    name := '';
    next := start;
    LOOP
        size := get_byte(rdata, next);
        next := next + 1;
        EXIT WHEN size = 0;
        name := name || dns_label(substring(rdata FROM next + 1 FOR size)) || '.';
        next := next + size;
    END LOOP;
    IF name = '' THEN
        name := '.';
    END IF;
END
$$;
COMMENT ON FUNCTION dns_wire_name IS 'the uncompressed name at an offset of RDATA, and the offset behind it';

CREATE FUNCTION dns_number(octets bytea, start integer, size integer) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT sum(get_byte(octets, place)::bigint << (8 * (start + size - 1 - place)))::bigint
    FROM generate_series(start, start + size - 1) AS place
$$;
COMMENT ON FUNCTION dns_number IS 'the unsigned number of some octets at an offset';

CREATE FUNCTION dns_type(type integer) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE type
        WHEN 1 THEN 'A' WHEN 2 THEN 'NS' WHEN 3 THEN 'MD' WHEN 4 THEN 'MF' WHEN 5 THEN 'CNAME' WHEN 6 THEN 'SOA'
        WHEN 7 THEN 'MB' WHEN 8 THEN 'MG' WHEN 9 THEN 'MR' WHEN 10 THEN 'NULL' WHEN 11 THEN 'WKS' WHEN 12 THEN 'PTR'
        WHEN 13 THEN 'HINFO' WHEN 14 THEN 'MINFO' WHEN 15 THEN 'MX' WHEN 16 THEN 'TXT' WHEN 17 THEN 'RP'
        WHEN 18 THEN 'AFSDB' WHEN 19 THEN 'X25' WHEN 20 THEN 'ISDN' WHEN 21 THEN 'RT' WHEN 22 THEN 'NSAP'
        WHEN 23 THEN 'NSAP-PTR' WHEN 24 THEN 'SIG' WHEN 25 THEN 'KEY' WHEN 26 THEN 'PX' WHEN 27 THEN 'GPOS'
        WHEN 28 THEN 'AAAA' WHEN 29 THEN 'LOC' WHEN 30 THEN 'NXT' WHEN 33 THEN 'SRV' WHEN 35 THEN 'NAPTR'
        WHEN 36 THEN 'KX' WHEN 37 THEN 'CERT' WHEN 38 THEN 'A6' WHEN 39 THEN 'DNAME' WHEN 42 THEN 'APL'
        WHEN 43 THEN 'DS' WHEN 44 THEN 'SSHFP' WHEN 45 THEN 'IPSECKEY' WHEN 46 THEN 'RRSIG' WHEN 47 THEN 'NSEC'
        WHEN 48 THEN 'DNSKEY' WHEN 49 THEN 'DHCID' WHEN 50 THEN 'NSEC3' WHEN 51 THEN 'NSEC3PARAM' WHEN 52 THEN 'TLSA'
        WHEN 53 THEN 'SMIMEA' WHEN 55 THEN 'HIP' WHEN 56 THEN 'NINFO' WHEN 59 THEN 'CDS' WHEN 60 THEN 'CDNSKEY'
        WHEN 61 THEN 'OPENPGPKEY' WHEN 62 THEN 'CSYNC' WHEN 63 THEN 'ZONEMD' WHEN 64 THEN 'SVCB' WHEN 65 THEN 'HTTPS'
        WHEN 66 THEN 'DSYNC' WHEN 67 THEN 'HHIT' WHEN 68 THEN 'BRID' WHEN 99 THEN 'SPF'
        WHEN 103 THEN 'UNSPEC' WHEN 104 THEN 'NID' WHEN 105 THEN 'L32' WHEN 106 THEN 'L64'
        WHEN 107 THEN 'LP' WHEN 108 THEN 'EUI48' WHEN 109 THEN 'EUI64' WHEN 256 THEN 'URI' WHEN 257 THEN 'CAA'
        WHEN 258 THEN 'AVC' WHEN 260 THEN 'AMTRELAY' WHEN 261 THEN 'RESINFO' WHEN 262 THEN 'WALLET'
        WHEN 32768 THEN 'TA' WHEN 32769 THEN 'DLV'
        ELSE 'TYPE' || type END
$$;
COMMENT ON FUNCTION dns_type IS 'the mnemonic of a type, or TYPEn (RFC 3597 section 5)';
"""

RDATA = r"""
CREATE FUNCTION dns_string(octets bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    spelt text := encode(octets, 'escape');
    octet integer;
BEGIN
    IF spelt ~ '^[ !#-\[\]-~]*$' THEN
        RETURN '"' || spelt || '"';
    END IF;
    spelt := '';
    FOR place IN 0 .. length(octets) - 1 LOOP
        octet := get_byte(octets, place);
        spelt := spelt || CASE
            WHEN octet IN (34, 92) THEN '\' || chr(octet)
            WHEN octet BETWEEN 32 AND 126 THEN chr(octet)
            ELSE '\' || lpad(octet::text, 3, '0') END;
    END LOOP;
    RETURN '"' || spelt || '"';
END
$$;
COMMENT ON FUNCTION dns_string IS 'a quoted character-string';

CREATE FUNCTION dns_strings(rdata bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    spelt text[] := '{}';
    place integer := 0;
    size integer;
BEGIN
    WHILE place < length(rdata) LOOP
        size := get_byte(rdata, place);
        IF place + size >= length(rdata) THEN
            RAISE EXCEPTION 'a character-string runs over the end of the RDATA';
        END IF;
        spelt := spelt || dns_string(substring(rdata FROM place + 2 FOR size));
        place := place + 1 + size;
    END LOOP;
    RETURN array_to_string(spelt, ' ');
END
$$;
COMMENT ON FUNCTION dns_strings IS 'the character-strings of a TXT record';

CREATE FUNCTION dns_types(bitmap bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    spelt text[] := '{}';
    place integer := 0;
    size integer;
BEGIN
    WHILE place < length(bitmap) LOOP
        size := get_byte(bitmap, place + 1);
        FOR seat IN 0 .. size * 8 - 1 LOOP
            IF get_byte(bitmap, place + 2 + seat / 8) & (128 >> (seat % 8)) <> 0 THEN
                spelt := spelt || dns_type(get_byte(bitmap, place) * 256 + seat);
            END IF;
        END LOOP;
        place := place + 2 + size;
    END LOOP;
    RETURN array_to_string(spelt, ' ');
END
$$;
COMMENT ON FUNCTION dns_types IS 'the type bit maps of NSEC and NSEC3 (RFC 4034 section 4.1.2)';

CREATE FUNCTION dns_base32(octets bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(substr('0123456789abcdefghijklmnopqrstuv', 1 + chunk::bit(5)::integer, 1), ''
                               ORDER BY place), '')
    FROM (SELECT place, substr(bits || '0000', place, 5) AS chunk
          FROM (SELECT ('x' || encode(octets, 'hex'))::varbit::text AS bits) AS spelt,
               generate_series(1, length(octets) * 8, 5) AS place) AS chunks
$$;
COMMENT ON FUNCTION dns_base32 IS 'base32hex without padding (RFC 4648 section 7)';

CREATE FUNCTION dns_base64(octets bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT replace(encode(octets, 'base64'), chr(10), '')
$$;
COMMENT ON FUNCTION dns_base64 IS 'base64 on one line';

CREATE FUNCTION dns_rdata(type integer, rdata bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
DECLARE
    one record;
    two record;
    place integer;
BEGIN
    CASE
    WHEN type = 1 AND length(rdata) = 4 THEN
        RETURN concat_ws('.', get_byte(rdata, 0), get_byte(rdata, 1), get_byte(rdata, 2), get_byte(rdata, 3));
    WHEN type = 28 AND length(rdata) = 16 THEN
        RETURN host(rtrim(regexp_replace(encode(rdata, 'hex'), '(....)', '\1:', 'g'), ':')::inet);
    WHEN type IN (2, 5, 12, 39) THEN
        RETURN (dns_wire_name(rdata, 0)).name;
    WHEN type = 6 THEN
        one := dns_wire_name(rdata, 0);
        two := dns_wire_name(rdata, one.next);
        RETURN concat_ws(' ', one.name, two.name, dns_number(rdata, two.next, 4),
            dns_number(rdata, two.next + 4, 4), dns_number(rdata, two.next + 8, 4),
            dns_number(rdata, two.next + 12, 4), dns_number(rdata, two.next + 16, 4));
    WHEN type = 15 THEN
        RETURN concat_ws(' ', dns_number(rdata, 0, 2), (dns_wire_name(rdata, 2)).name);
    WHEN type IN (16, 99) THEN
        RETURN dns_strings(rdata);
    WHEN type = 33 THEN
        RETURN concat_ws(' ', dns_number(rdata, 0, 2), dns_number(rdata, 2, 2), dns_number(rdata, 4, 2),
            (dns_wire_name(rdata, 6)).name);
    WHEN type IN (43, 59) THEN
        RETURN concat_ws(' ', dns_number(rdata, 0, 2), get_byte(rdata, 2), get_byte(rdata, 3),
            encode(substring(rdata FROM 5), 'hex'));
    WHEN type = 44 THEN
        RETURN concat_ws(' ', get_byte(rdata, 0), get_byte(rdata, 1), encode(substring(rdata FROM 3), 'hex'));
    WHEN type IN (52, 53) THEN
        RETURN concat_ws(' ', get_byte(rdata, 0), get_byte(rdata, 1), get_byte(rdata, 2),
            encode(substring(rdata FROM 4), 'hex'));
    WHEN type IN (25, 48, 60) THEN
        RETURN concat_ws(' ', dns_number(rdata, 0, 2), get_byte(rdata, 2), get_byte(rdata, 3),
            dns_base64(substring(rdata FROM 5)));
    WHEN type = 46 THEN
        one := dns_wire_name(rdata, 18);
        RETURN concat_ws(' ', dns_type(dns_number(rdata, 0, 2)::integer), get_byte(rdata, 2), get_byte(rdata, 3),
            dns_number(rdata, 4, 4),
            to_char(to_timestamp(dns_number(rdata, 8, 4)) AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS'),
            to_char(to_timestamp(dns_number(rdata, 12, 4)) AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS'),
            dns_number(rdata, 16, 2), one.name, dns_base64(substring(rdata FROM one.next + 1)));
    WHEN type = 47 THEN
        one := dns_wire_name(rdata, 0);
        RETURN concat_ws(' ', one.name, nullif(dns_types(substring(rdata FROM one.next + 1)), ''));
    WHEN type = 50 THEN
        place := 5 + get_byte(rdata, 4);
        RETURN concat_ws(' ', get_byte(rdata, 0), get_byte(rdata, 1), dns_number(rdata, 2, 2),
            coalesce(nullif(encode(substring(rdata FROM 6 FOR get_byte(rdata, 4)), 'hex'), ''), '-'),
            dns_base32(substring(rdata FROM place + 2 FOR get_byte(rdata, place))),
            nullif(dns_types(substring(rdata FROM place + 2 + get_byte(rdata, place))), ''));
    WHEN type = 51 THEN
        RETURN concat_ws(' ', get_byte(rdata, 0), get_byte(rdata, 1), dns_number(rdata, 2, 2),
            coalesce(nullif(encode(substring(rdata FROM 6 FOR get_byte(rdata, 4)), 'hex'), ''), '-'));
    WHEN type = 257 THEN
        RETURN concat_ws(' ', get_byte(rdata, 0), encode(substring(rdata FROM 3 FOR get_byte(rdata, 1)), 'escape'),
            dns_string(substring(rdata FROM 3 + get_byte(rdata, 1))));
    ELSE
        RETURN concat_ws(' ', '\#', length(rdata), nullif(encode(rdata, 'hex'), ''));
    END CASE;
EXCEPTION WHEN OTHERS THEN
    RETURN concat_ws(' ', '\#', length(rdata), nullif(encode(rdata, 'hex'), ''));
END
$$;
COMMENT ON FUNCTION dns_rdata IS 'RDATA in presentation form, or as RFC 3597 section 5 writes unknown types';
"""

VIEWS = r"""
CREATE INDEX zones_by_readable_name ON zones (dns_name(origin));

CREATE VIEW records AS
SELECT dns_name(zones.origin) AS zone, dns_name(stored.owner) AS owner, stored.ttl, dns_type(stored.type) AS type,
       dns_rdata(stored.type, item.rdata) AS rdata,
       CASE stored.type WHEN 6 THEN shown.zone IS NOT NULL
                        ELSE coalesce(item.rdata = ANY (shown.rdatas), false) END AS published
FROM rrsets AS stored
JOIN zones ON zones.id = stored.zone
CROSS JOIN LATERAL unnest(stored.rdatas) WITH ORDINALITY AS item (rdata, place)
LEFT JOIN published_rrsets AS shown
    ON shown.zone = stored.zone AND shown.owner = stored.owner AND shown.type = stored.type
ORDER BY zones.origin, stored.owner, stored.type, item.place;
COMMENT ON VIEW records IS 'what clients wrote, one record a row; published, too? (a SOA is with another serial)';

CREATE VIEW published_records AS
SELECT dns_name(zones.origin) AS zone, dns_name(shown.owner) AS owner, shown.ttl, dns_type(item.type) AS type,
       dns_rdata(item.type, item.rdata) AS rdata
FROM published_rrsets AS shown
JOIN zones ON zones.id = shown.zone
CROSS JOIN LATERAL (
    SELECT shown.type, rdata, place FROM unnest(shown.rdatas) WITH ORDINALITY AS plain (rdata, place)
    UNION ALL
    SELECT 46, rdata, 1000000 + place FROM unnest(shown.sigs) WITH ORDINALITY AS signature (rdata, place)
) AS item (type, rdata, place)
ORDER BY zones.origin, shown.owner, shown.type, item.place;
COMMENT ON VIEW published_records IS 'what servers answer with, one record a row, each RRset followed by its RRSIGs';

GRANT SELECT ON records, published_records TO ddns_admin, zone_signer;
"""

DOWNGRADE = """
DROP VIEW published_records, records;
DROP INDEX zones_by_readable_name;
DROP FUNCTION dns_rdata, dns_base64, dns_base32, dns_types, dns_strings, dns_string, dns_type, dns_number,
    dns_wire_name, dns_name, dns_label;
"""


def upgrade() -> None:
    execute(NAMES)
    execute(RDATA)
    execute(VIEWS)


def downgrade() -> None:
    execute(DOWNGRADE)
