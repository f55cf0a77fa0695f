-- To what users log in. A row decides who gets in: `mac` covers it. What has no row is as it is made in the program.
CREATE TABLE login_applications (
    name TEXT NOT NULL PRIMARY KEY,
    idle_ms INTEGER NOT NULL,
    absolute_ms INTEGER NOT NULL,
    single_session INTEGER NOT NULL CHECK (single_session IN (0, 1)),
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    -- What whoever is kept out is told.
    message TEXT NOT NULL,
    -- Names of groups in their order, with blanks between them.
    module_groups TEXT NOT NULL,
    mac BLOB
) STRICT, WITHOUT ROWID;

-- Modules that are asked together. A row decides who gets in: `mac` covers it.
CREATE TABLE login_groups (
    name TEXT NOT NULL PRIMARY KEY,
    -- When they are asked; empty: always.
    rule TEXT NOT NULL,
    -- Each as its kind and its flag, in their order: `password:required`.
    modules TEXT NOT NULL,
    mac BLOB
) STRICT, WITHOUT ROWID;
