-- The servers that are at work on the repository, one row for each instance. A server whose row is gone is ended: it writes
-- nothing any more. What stands here decides nothing that a gateway or a user may do: no MAC covers it.
CREATE TABLE servers (
    instance BLOB NOT NULL PRIMARY KEY CHECK (length(instance) = 16),
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Where other servers reach it; empty: nowhere.
    advertised TEXT NOT NULL,
    -- Random, and another one every two seconds, where servers share a database.
    beat BLOB NOT NULL CHECK (length(beat) = 16),
    -- Tells the lock file of its data folder from any other; NULL: it holds none.
    lock_file BLOB,
    started_ms INTEGER NOT NULL,
    links INTEGER NOT NULL DEFAULT 0,
    -- Calls that are under way.
    calls INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    -- It takes no new links, and hands over those that it has.
    drained INTEGER NOT NULL DEFAULT 0 CHECK (drained IN (0, 1))
) STRICT;
