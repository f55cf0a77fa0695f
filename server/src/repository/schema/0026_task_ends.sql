-- Somebody asked for the end of this task at a server that does not run it. It decides nothing but that, and no MAC covers it:
-- whoever changes it by hand ends a task, which goes on with `task resume`.
ALTER TABLE tasks ADD COLUMN end_asked INTEGER NOT NULL DEFAULT 0 CHECK (end_asked IN (0, 1));
