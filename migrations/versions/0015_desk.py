"""What the web's desk keeps: tokens, signed statements with their answers, and notices on their way out.

A statement is remembered by the SHA-256 of its payload, never of its signature: an ECDSA signature can be rewritten.
"""

from ddns.migrations import execute
from ddns.migrations.walls import OWN, only_for, walled

revision = "0015"
down_revision = "0014"

UPGRADE = """
CREATE TABLE tokens (
    id         text CONSTRAINT token_twice PRIMARY KEY,
    tenant     bigint NOT NULL DEFAULT ddns_tenant() CONSTRAINT token_of_no_tenant REFERENCES tenants (id),
    digest     bytea NOT NULL,
    rights     text[] NOT NULL CONSTRAINT token_without_rights CHECK (cardinality(rights) > 0),
    home       bigint CONSTRAINT token_for_no_home REFERENCES homes (zone) ON DELETE CASCADE,
    owner      uuid,
    note       text NOT NULL DEFAULT '',
    networks   cidr[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    used_at    timestamptz,
    used_from  cidr,
    CONSTRAINT token_that_lasts_too_long CHECK (expires_at <= created_at + interval '400 days'),
    CONSTRAINT token_of_another_tenants_owner FOREIGN KEY (owner, tenant) REFERENCES owners (id, tenant)
        ON DELETE CASCADE
);
CREATE INDEX tokens_that_end ON tokens (expires_at);
COMMENT ON COLUMN tokens.digest IS 'SHA-256 of the secret, which nobody keeps';

CREATE TABLE statements (
    digest     bytea CONSTRAINT statement_twice PRIMARY KEY,
    tenant     bigint NOT NULL DEFAULT ddns_tenant(),
    signer     bytea NOT NULL,
    jti        text NOT NULL,
    act        text NOT NULL,
    octets     bytea NOT NULL,
    status     smallint NOT NULL,
    answer     bytea NOT NULL,
    at         timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT jti_twice UNIQUE (signer, jti)
);
COMMENT ON TABLE statements IS 'what was signed, whole: evidence, memory of answers, and defence against replay';
COMMENT ON COLUMN statements.digest IS 'SHA-256 of the payload';

CREATE TABLE keyed_requests (
    tenant     bigint NOT NULL DEFAULT ddns_tenant(),
    token      text NOT NULL,
    key        text NOT NULL,
    digest     bytea NOT NULL,
    status     smallint NOT NULL,
    answer     bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT idempotency_key_twice PRIMARY KEY (token, key)
);
CREATE INDEX keyed_requests_that_end ON keyed_requests (expires_at);

CREATE TABLE spent_nonces (
    digest     bytea CONSTRAINT nonce_spent_twice PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX spent_nonces_that_end ON spent_nonces (expires_at);

CREATE TABLE webhooks (
    id      uuid CONSTRAINT webhook_twice PRIMARY KEY,
    tenant  bigint NOT NULL DEFAULT ddns_tenant() CONSTRAINT webhook_of_no_tenant REFERENCES tenants (id),
    url     text NOT NULL,
    secret  bytea NOT NULL,
    events  text[] NOT NULL,
    state   text NOT NULL DEFAULT 'active'
        CONSTRAINT webhook_in_unknown_state CHECK (state IN ('active', 'stopped')),
    problem text NOT NULL DEFAULT ''
);
CREATE INDEX webhooks_by_tenant ON webhooks (tenant, id);
COMMENT ON COLUMN webhooks.secret IS 'sealed with the key in secrets.key';

CREATE TABLE outbox (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant bigint NOT NULL DEFAULT ddns_tenant(),
    owner  uuid,
    kind   text NOT NULL,
    body   bytea NOT NULL,
    at     timestamptz NOT NULL
);
CREATE INDEX outbox_by_owner ON outbox (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX outbox_by_tenant ON outbox (tenant, id);
COMMENT ON TABLE outbox IS 'notices: what somebody must be told';

CREATE TABLE deliveries (
    notice       bigint NOT NULL CONSTRAINT delivery_of_no_notice REFERENCES outbox (id) ON DELETE CASCADE,
    webhook      uuid NOT NULL CONSTRAINT delivery_to_no_webhook REFERENCES webhooks (id) ON DELETE CASCADE,
    due_at       timestamptz NOT NULL,
    tries        smallint NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    problem      text NOT NULL DEFAULT '',
    CONSTRAINT delivery_twice PRIMARY KEY (notice, webhook)
);
CREATE INDEX deliveries_due ON deliveries (webhook, due_at, notice) WHERE delivered_at IS NULL;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook);

CREATE FUNCTION deliver_notices() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO deliveries (notice, webhook, due_at)
        SELECT told.id, webhooks.id, told.at
        FROM told JOIN webhooks ON webhooks.tenant = told.tenant
        WHERE webhooks.state = 'active' AND webhooks.events && ARRAY[told.kind, '*'] AND told.kind <> 'webhook.test';
    RETURN NULL;
END $$;
CREATE TRIGGER notices_are_delivered AFTER INSERT ON outbox REFERENCING NEW TABLE AS told
    FOR EACH STATEMENT EXECUTE FUNCTION deliver_notices();

CREATE FUNCTION due_deliveries(moment timestamptz, busy uuid[], most int)
    RETURNS TABLE (tenant bigint, webhook uuid, notice bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT webhooks.tenant, webhooks.id, first.notice
    FROM webhooks CROSS JOIN LATERAL (
        SELECT deliveries.notice, deliveries.due_at FROM deliveries
        WHERE deliveries.webhook = webhooks.id AND deliveries.delivered_at IS NULL AND deliveries.due_at <= moment
        ORDER BY deliveries.due_at, deliveries.notice LIMIT 1
    ) AS first
    WHERE webhooks.id <> ALL (busy) ORDER BY first.due_at LIMIT most
$$;

CREATE FUNCTION forget_notices(older timestamptz, most int) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH oldest AS (SELECT outbox.id, outbox.at FROM outbox ORDER BY outbox.id LIMIT most),
         gone AS (DELETE FROM outbox USING oldest WHERE outbox.id = oldest.id AND oldest.at < older RETURNING 1)
    SELECT count(*) FROM gone
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON tokens, webhooks TO ddns_admin;
GRANT SELECT, INSERT, UPDATE (revoked_at, used_at, used_from), DELETE ON tokens TO ddns_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks TO ddns_web;
GRANT SELECT, INSERT, UPDATE (status, answer) ON statements TO ddns_web;
GRANT SELECT ON statements TO ddns_admin;
GRANT SELECT, INSERT, UPDATE (status, answer), DELETE ON keyed_requests TO ddns_web;
GRANT SELECT, INSERT, DELETE ON spent_nonces TO ddns_web;
GRANT SELECT, INSERT, DELETE ON outbox TO ddns_web;
GRANT SELECT, INSERT ON outbox TO ddns_admin;
GRANT INSERT ON outbox TO ddns_server;
GRANT SELECT (id) ON outbox TO ddns_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON deliveries TO ddns_web;
GRANT SELECT, INSERT ON deliveries TO ddns_admin;
"""

WALLS = (
    ("tokens", OWN),
    ("statements", OWN),
    ("keyed_requests", OWN),
    ("webhooks", OWN),
    ("outbox", OWN),
    ("deliveries", "EXISTS (SELECT FROM outbox WHERE outbox.id = deliveries.notice)"),
)

DOWNGRADE = """
DROP TABLE deliveries, outbox, webhooks, spent_nonces, keyed_requests, statements, tokens;
DROP FUNCTION due_deliveries, forget_notices, deliver_notices;
"""


FUNCTIONS = ("due_deliveries(timestamptz, uuid[], int)", "forget_notices(timestamptz, int)")


def upgrade() -> None:
    execute(UPGRADE)
    execute(only_for("ddns_web", FUNCTIONS))
    for table, *rows in WALLS:
        execute(walled(table, *rows))


def downgrade() -> None:
    execute(DOWNGRADE)
