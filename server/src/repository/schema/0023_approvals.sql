-- What waits for a second person, and what one has approved. An approval decides: `mac` covers the row.
CREATE TABLE approvals (
    -- `ap-` and this number is its id.
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    method TEXT NOT NULL,
    object TEXT NOT NULL,
    -- A MAC over all of the request, which may hold secrets.
    contents BLOB NOT NULL CHECK (length(contents) = 32),
    -- Who asked, with the number of the user on the host of that server; NULL: no user of a host.
    asked_by TEXT NOT NULL,
    asked_uid INTEGER,
    asked_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    -- Who approved it; NULL: nobody yet.
    approved_by TEXT,
    mac BLOB
) STRICT;
