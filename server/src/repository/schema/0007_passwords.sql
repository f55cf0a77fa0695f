-- People of the identity system. Their passwords and answers, and the digests of their earlier passwords, are sealed values
-- of which they are the owners.
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    password_set_ms INTEGER
) STRICT, WITHOUT ROWID;

-- One row, once it was set. 0: the rule is off.
CREATE TABLE password_policy (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    min_length INTEGER NOT NULL,
    max_length INTEGER NOT NULL,
    min_lower INTEGER NOT NULL,
    min_upper INTEGER NOT NULL,
    min_digits INTEGER NOT NULL,
    min_other INTEGER NOT NULL,
    forbid_names INTEGER NOT NULL CHECK (forbid_names IN (0, 1)),
    forbid_words INTEGER NOT NULL CHECK (forbid_words IN (0, 1)),
    user_history INTEGER NOT NULL,
    account_history INTEGER NOT NULL
) STRICT;
