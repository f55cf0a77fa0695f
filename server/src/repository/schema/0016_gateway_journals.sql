-- How far the journal of each registration was seen: one that is another one, or behind, was lost.
CREATE TABLE gateway_journals (
    gateway_id BLOB NOT NULL PRIMARY KEY CHECK (length(gateway_id) = 16),
    incarnation BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    -- When that was found last, by the server's own time; 0: never.
    lost_ms INTEGER NOT NULL,
    mac BLOB
) STRICT;
