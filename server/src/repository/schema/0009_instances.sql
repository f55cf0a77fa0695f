-- Each start of a server is an instance with an id of its own. What is claimed names the instance that claimed it, and only
-- that one writes what came of it. NULL: claimed by nobody, or before this column was there; the next start takes that over.
ALTER TABLE tasks ADD COLUMN instance BLOB CHECK (length(instance) = 16);
ALTER TABLE queued_calls ADD COLUMN instance BLOB CHECK (length(instance) = 16);
