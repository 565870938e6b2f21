"""The journal of refusals: what was asked, by whom, from where, and why it was not done."""

from ddns.migrations import execute

revision = "0006"
down_revision = "0005"

UPGRADE = """
CREATE TABLE refusals (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    code       text NOT NULL,
    rcode      integer NOT NULL CONSTRAINT refusal_with_impossible_rcode CHECK (rcode BETWEEN 1 AND 4095),
    text       text NOT NULL,
    transport  text NOT NULL,
    source     cidr NOT NULL,
    zone       text,
    key        text,
    kind       text CONSTRAINT refusal_of_unknown_kind_of_key CHECK (kind IN ('tsig', 'sig0')),
    algorithm  text,
    tag        integer,
    verified   boolean NOT NULL,
    credential bigint,
    held       text[] NOT NULL,
    asked      text[] NOT NULL,
    size       integer NOT NULL,
    message    bytea CONSTRAINT refusal_with_message_that_is_none
               CHECK (octet_length(message) BETWEEN 12 AND 65535),
    digest     bytea,
    untold     integer NOT NULL CONSTRAINT refusals_untold_below_none CHECK (untold >= 0),
    CONSTRAINT refusal_verified_without_credential CHECK (NOT verified OR credential IS NOT NULL)
);
CREATE INDEX refusals_by_time ON refusals (at);
ALTER TABLE refusals ALTER COLUMN message SET STATISTICS 0, ALTER COLUMN digest SET STATISTICS 0;
COMMENT ON TABLE refusals IS 'a ring: the oldest rows go when there are too many or when they are too old';
COMMENT ON COLUMN refusals.source IS 'a network, not an address';
COMMENT ON COLUMN refusals.key IS 'the name of the key as the message has it; whether it was that key says verified';
COMMENT ON COLUMN refusals.credential IS 'the key as it is known here, which may have gone since';
COMMENT ON COLUMN refusals.held IS 'the rules of the key in the zone at that time';
COMMENT ON COLUMN refusals.asked IS 'what the update asked for, as far as there is room';
COMMENT ON COLUMN refusals.size IS 'octets of the message without its signature';
COMMENT ON COLUMN refusals.message IS 'the update without signature and EDNS options; NULL where it is too long';
COMMENT ON COLUMN refusals.untold IS 'refusals that were not written between the one before and this one';

GRANT INSERT, DELETE, SELECT (id, at) ON refusals TO ddns_server;
GRANT SELECT ON refusals TO ddns_admin;
"""

DOWNGRADE = """
DROP TABLE refusals;
"""


def upgrade() -> None:
    execute(UPGRADE)


def downgrade() -> None:
    execute(DOWNGRADE)
