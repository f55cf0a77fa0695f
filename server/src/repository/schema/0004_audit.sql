-- The audit log: only ever appended to. `mac` chains each entry to the one before, under the sealed audit key.
CREATE TABLE audit_entries (
    -- 1, 2, … without a gap.
    seq INTEGER PRIMARY KEY,
    -- The first entry that was written in the same transaction.
    commit_first INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    subject TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    -- The entry `begun` that this is the outcome of; 0: of none.
    begun INTEGER NOT NULL,
    detail TEXT NOT NULL,
    mac BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT;

CREATE INDEX audit_outcomes ON audit_entries (begun) WHERE begun <> 0;

-- Against mistakes only: what an attacker does, the chain shows.
CREATE TRIGGER audit_entries_never_change BEFORE UPDATE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever appended to'); END;
CREATE TRIGGER audit_entries_never_go BEFORE DELETE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever appended to'); END;
