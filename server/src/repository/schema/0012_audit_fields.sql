-- What an entry is about, each in a field of its own; '' where it is about none. Entries of before have none, and keep the
-- MAC that they have.
ALTER TABLE audit_entries ADD COLUMN call_id TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN resource TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN object_class TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN object_name TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN user TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN gateway TEXT NOT NULL DEFAULT '';

-- The calls of which nobody knows what came, which their gateway may still tell.
CREATE INDEX audit_open_calls ON audit_entries (time_ms)
    WHERE outcome IN ('unknown', 'indeterminate') AND call_id <> '' AND gateway <> '';
