-- Which server sends the audit log to each place of [forward], where several share the repository: one at a time.
CREATE TABLE forwarders (
    place TEXT NOT NULL PRIMARY KEY,
    instance BLOB NOT NULL CHECK (length(instance) = 16)
) STRICT;
