-- Every sealed value stands here, whatever it belongs to: so each can be counted, verified and encrypted again, and no
-- server key is deleted while one depends on it. `type`, `owner` and `field` are authenticated with the value.
CREATE TABLE sealed_values (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    owner BLOB NOT NULL,
    field TEXT NOT NULL,
    sealed BLOB NOT NULL,
    -- A sealed value begins with a version byte and the id of its server key.
    server_key BLOB NOT NULL GENERATED ALWAYS AS (substr(sealed, 2, 17)) VIRTUAL,
    UNIQUE (type, owner, field)
) STRICT;

CREATE INDEX sealed_values_by_key ON sealed_values (server_key, type, id);

INSERT INTO sealed_values (type, owner, field, sealed)
    SELECT 'gateway-key', id, 'key', sealed_key FROM gateway_keys;
ALTER TABLE gateway_keys DROP COLUMN sealed_key;

INSERT INTO sealed_values (type, owner, field, sealed)
    SELECT 'enrolment-key', gateway_id, 'enrolment key', token_sealed_key FROM gateways WHERE token_sealed_key IS NOT NULL;
ALTER TABLE gateways DROP COLUMN token_sealed_key;

-- Which server key seals new values is a choice, no longer the newest.
ALTER TABLE server_keys ADD COLUMN current INTEGER NOT NULL DEFAULT 0 CHECK (current IN (0, 1));
UPDATE server_keys SET current = 1 WHERE generation = (SELECT max(generation) FROM server_keys);
CREATE UNIQUE INDEX one_current_server_key ON server_keys (current) WHERE current = 1;
