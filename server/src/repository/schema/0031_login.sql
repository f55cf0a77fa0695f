-- What users may do once they have logged in: a row for each who may do anything. It decides: `mac` covers the row.
CREATE TABLE administrators (
    user_name TEXT NOT NULL PRIMARY KEY,
    -- Names of capabilities, with blanks between them.
    capabilities TEXT NOT NULL,
    mac BLOB
) STRICT, WITHOUT ROWID;

-- Who is logged in. A session decides who somebody is: `mac` covers the row.
CREATE TABLE sessions (
    -- As people name it; the beginning of the digest.
    id TEXT NOT NULL PRIMARY KEY,
    -- SHA-256 of the random secret, which is not kept.
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    user_name TEXT NOT NULL,
    application TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    -- To the minute.
    used_ms INTEGER NOT NULL,
    -- The limits of the application, as they were when the user logged in.
    idle_ms INTEGER NOT NULL,
    absolute_ms INTEGER NOT NULL,
    address TEXT NOT NULL,
    method TEXT NOT NULL,
    -- The session that took its place; NULL: none has.
    superseded_by TEXT,
    mac BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_name, application);

-- Tries that failed. Nobody gets in by these rows, and so they have no MAC.
CREATE TABLE lockouts (
    -- A digest of whom and what it counts: what was typed as a name may be a password.
    counted BLOB NOT NULL PRIMARY KEY CHECK (length(counted) = 32),
    failures INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    -- When the user last logged in from there; NULL: never.
    known_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX lockouts_by_time ON lockouts (last_ms);
