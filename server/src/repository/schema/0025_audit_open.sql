-- The entries `begun` without an outcome, and which instance is to write that. Where one server alone is at work on the
-- repository it is empty: a start ends what was begun before it.
CREATE TABLE audit_open (
    seq INTEGER NOT NULL PRIMARY KEY,
    instance BLOB NOT NULL CHECK (length(instance) = 16)
) STRICT;
