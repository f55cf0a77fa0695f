-- What an administrator demands of a gateway's connections beside its keys: 'tls'. Covered by the gateway's MAC.
CREATE TABLE gateway_demands (
    gateway TEXT NOT NULL REFERENCES gateways (name) ON DELETE CASCADE,
    what TEXT NOT NULL,
    PRIMARY KEY (gateway, what)
) STRICT, WITHOUT ROWID;
