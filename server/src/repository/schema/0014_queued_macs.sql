-- A queued call is sent at most once, in its turn and to where it was queued for, whatever is written here by hand: its row
-- carries a MAC as the others that decide do. NULL: not yet, which only a repository of an earlier schema has before its
-- first start.
ALTER TABLE queued_calls ADD COLUMN mac BLOB;
