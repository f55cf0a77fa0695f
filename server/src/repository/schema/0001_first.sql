-- Times are milliseconds since 1970-01-01 UTC. Ids are the bytes that go over the wire.
-- What is called sealed holds a secret, sealed under a server key for this very row and column.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE server_keys (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 17),
    generation INTEGER NOT NULL UNIQUE,
    wrapped BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    retired_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE gateway_keys (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 17),
    generation INTEGER NOT NULL UNIQUE,
    sealed_key BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    retired_ms INTEGER,
    compromised INTEGER NOT NULL DEFAULT 0 CHECK (compromised IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE gateways (
    name TEXT NOT NULL PRIMARY KEY,
    -- NULL: the gateway dials out.
    address TEXT,
    created_ms INTEGER NOT NULL,
    last_seen_ms INTEGER,
    last_error TEXT,
    -- The registration.
    gateway_id BLOB NOT NULL UNIQUE CHECK (length(gateway_id) = 16),
    standing INTEGER NOT NULL CHECK (standing BETWEEN 0 AND 2),
    token_key_id BLOB CHECK (length(token_key_id) = 17),
    token_sealed_key BLOB CHECK ((token_sealed_key IS NULL) = (token_key_id IS NULL)),
    token_expires_ms INTEGER CHECK ((token_expires_ms IS NULL) = (token_key_id IS NULL)),
    token_bound BLOB CHECK (length(token_bound) = 32),
    pairing_until_ms INTEGER,
    last_proved BLOB REFERENCES gateway_keys (id),
    -- Ids of the gateway keys sent and not proved since, oldest first, 17 bytes each.
    sent BLOB NOT NULL CHECK (length(sent) % 17 = 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE alarms (
    id INTEGER PRIMARY KEY,
    gateway TEXT NOT NULL REFERENCES gateways (name) ON DELETE CASCADE,
    raised_ms INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;

CREATE INDEX alarms_of_gateway ON alarms (gateway, id);

CREATE TABLE resources (
    name TEXT NOT NULL PRIMARY KEY,
    gateway TEXT NOT NULL REFERENCES gateways (name),
    connector TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE resource_settings (
    resource TEXT NOT NULL REFERENCES resources (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (resource, name)
) STRICT, WITHOUT ROWID;
