-- A keyed digest of what was queued under this id, by which the same request is told from another one. NULL: queued before
-- this column was there.
ALTER TABLE queued_calls ADD COLUMN digest BLOB CHECK (length(digest) = 32);
