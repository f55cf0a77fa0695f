-- Calls that wait for their gateway, and what came of them. While one waits or is under way its payload is a sealed value
-- of which its id is the owner.
CREATE TABLE queued_calls (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id TEXT NOT NULL UNIQUE,
    resource TEXT NOT NULL,
    -- The verb and the object, for people.
    summary TEXT NOT NULL,
    -- 0 waiting, 1 dispatched, 2 done, 3 failed, 4 indeterminate, 5 cancelled, 6 expired.
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),
    queued_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    dispatched_ms INTEGER,
    ended_ms INTEGER CHECK ((ended_ms IS NOT NULL) = (state > 1)),
    -- As it goes over the wire, without secrets.
    outcome BLOB
) STRICT;

CREATE INDEX queued_calls_open ON queued_calls (resource, sequence) WHERE state < 2;
CREATE INDEX queued_calls_waiting ON queued_calls (expires_ms) WHERE state = 0;
CREATE INDEX queued_calls_ended ON queued_calls (ended_ms) WHERE state > 1;
