-- Whether the holder of a gateway's link has one, as far as it knows, and since when: for other servers, which show it and dial
-- in its place. It decides nothing, as the rest of the row.
ALTER TABLE links ADD COLUMN up INTEGER NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;
-- The gateway knows no grants: it gets calls only while a single server stands.
ALTER TABLE links ADD COLUMN for_one_server INTEGER NOT NULL DEFAULT 0;
