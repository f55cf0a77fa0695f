-- Pushes of the current gateway key that a server began among several: each of the others asks the gateways whose links it has.
-- It decides nothing but whom the current key is offered, and how soon.
CREATE TABLE pushes (
    number INTEGER NOT NULL PRIMARY KEY,
    -- The server that began it.
    instance BLOB NOT NULL CHECK (length(instance) = 16),
    gateway_key BLOB NOT NULL,
    -- Whom it reaches and how fast, as JSON.
    reach TEXT NOT NULL
) STRICT;
