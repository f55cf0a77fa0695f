-- Rows that decide who is whom, and where things go, carry a MAC under the authority key, over every column that decides
-- and over what belongs to the row elsewhere (groups, settings). NULL: not yet, which only a repository of an earlier schema
-- has before its first start.
ALTER TABLE gateways ADD COLUMN mac BLOB;
ALTER TABLE resources ADD COLUMN mac BLOB;
ALTER TABLE tasks ADD COLUMN mac BLOB;
ALTER TABLE gateway_keys ADD COLUMN mac BLOB;
ALTER TABLE server_keys ADD COLUMN mac BLOB;
ALTER TABLE password_policy ADD COLUMN mac BLOB;

-- Each change of such a row since the last audit entry: its MAC before (NULL: it was added) and after (NULL: it was removed).
-- The next entry of the audit log binds their sum, and they go.
CREATE TABLE authority_changes (
    id INTEGER PRIMARY KEY,
    -- The last audit entry when the row was changed.
    epoch INTEGER NOT NULL,
    before BLOB,
    after BLOB,
    mac BLOB NOT NULL
) STRICT;

-- The MAC over the sum of all rows that decide, as they stood with this entry; NULL: another entry of its commit has it.
ALTER TABLE audit_entries ADD COLUMN authority BLOB;

-- What a value is bound to beside its place: the gateway and the connector that it is for.
ALTER TABLE sealed_values ADD COLUMN context BLOB NOT NULL DEFAULT x'';
