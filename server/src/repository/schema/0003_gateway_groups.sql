-- Groups that a gateway is in: what is said of a group is said of each of its gateways.
CREATE TABLE gateway_groups (
    gateway TEXT NOT NULL REFERENCES gateways (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (gateway, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX gateways_of_group ON gateway_groups (name, gateway);

-- Rolled back: never sent again.
ALTER TABLE gateway_keys ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1));

-- When `last_proved` was first proved; NULL: before this column was there, or never.
ALTER TABLE gateways ADD COLUMN proved_ms INTEGER;

CREATE INDEX gateways_by_last_proved ON gateways (last_proved);
