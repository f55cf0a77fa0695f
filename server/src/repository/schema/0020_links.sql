-- Which instance of a server has the link to a gateway, and how often it changed hands. It decides nothing: a gateway takes
-- calls only under the highest grant that it has seen, so a row that was changed by hand stops calls and lets none through.
CREATE TABLE links (
    gateway_id BLOB NOT NULL PRIMARY KEY CHECK (length(gateway_id) = 16),
    epoch INTEGER NOT NULL,
    instance BLOB NOT NULL CHECK (length(instance) = 16)
) STRICT;
