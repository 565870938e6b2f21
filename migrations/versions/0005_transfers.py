"""Who may transfer which zone, and whom to notify."""

from ddns.migrations import execute

revision = "0005"
down_revision = "0004"

UPGRADE = """
CREATE TABLE transfer_rights (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zone    bigint NOT NULL CONSTRAINT transfer_right_on_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    homes   boolean NOT NULL,
    key     bytea,
    address cidr,
    CONSTRAINT transfer_right_without_key_or_address CHECK ((key IS NULL) <> (address IS NULL)),
    CONSTRAINT transfer_right_twice UNIQUE NULLS NOT DISTINCT (zone, homes, key, address)
);
COMMENT ON TABLE transfer_rights IS 'who may transfer a zone: whoever signs with a key, or whoever asks from a prefix';
COMMENT ON COLUMN transfer_rights.homes IS 'for the homes that the zone delegates, not for the zone itself';
COMMENT ON COLUMN transfer_rights.key IS 'the name of a TSIG key';

CREATE TABLE transfer_targets (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zone    bigint NOT NULL CONSTRAINT transfer_target_of_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    homes   boolean NOT NULL,
    address inet NOT NULL CONSTRAINT transfer_target_that_is_a_network
            CHECK (masklen(address) = CASE family(address) WHEN 4 THEN 32 ELSE 128 END),
    port    integer NOT NULL CONSTRAINT transfer_target_with_impossible_port CHECK (port BETWEEN 1 AND 65535),
    key     bytea,
    CONSTRAINT transfer_target_twice UNIQUE (zone, homes, address, port)
);
COMMENT ON TABLE transfer_targets IS 'whom to notify when a zone changes';
COMMENT ON COLUMN transfer_targets.homes IS 'for the homes that the zone delegates, not for the zone itself';
COMMENT ON COLUMN transfer_targets.key IS 'the name of the TSIG key that signs what it is sent';

CREATE TABLE notified (
    target bigint CONSTRAINT notified_no_target REFERENCES transfer_targets (id) ON DELETE CASCADE,
    zone   bigint CONSTRAINT notified_of_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    serial bigint NOT NULL CONSTRAINT notified_beyond_32_bits CHECK (serial BETWEEN 0 AND 4294967295),
    rcode  smallint,
    tries  integer NOT NULL CONSTRAINT notified_never CHECK (tries > 0),
    at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT notified_twice PRIMARY KEY (target, zone)
);
CREATE INDEX notified_by_zone ON notified (zone);
COMMENT ON TABLE notified IS 'how each NOTIFY ended: the serial that it told';
COMMENT ON COLUMN notified.rcode IS 'what was answered; NULL: nothing';

CREATE TABLE transferred (
    zone   bigint CONSTRAINT transferred_no_zone REFERENCES zones (id) ON DELETE CASCADE,
    source inet,
    key    bytea,
    kind   text NOT NULL CONSTRAINT transferred_in_unknown_way CHECK (kind IN ('axfr', 'ixfr', 'current')),
    serial bigint NOT NULL CONSTRAINT transferred_beyond_32_bits CHECK (serial BETWEEN 0 AND 4294967295),
    at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT transferred_twice PRIMARY KEY (zone, source)
);
COMMENT ON TABLE transferred IS 'who has which serial of a zone, as of the last transfer';
COMMENT ON COLUMN transferred.kind IS 'whole, in steps, or nothing because it was up to date';

GRANT SELECT ON transfer_rights, transfer_targets TO ddns_server;
GRANT SELECT, INSERT, UPDATE ON notified TO ddns_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON transferred TO ddns_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON transfer_rights, transfer_targets TO ddns_admin;
GRANT SELECT ON notified, transferred TO ddns_admin;
"""

DOWNGRADE = """
DROP TABLE transferred, notified, transfer_targets, transfer_rights;
"""


def upgrade() -> None:
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
