-- What protects the server keys: one row. None: they are wrapped directly under the secret file, as the first versions did.
CREATE TABLE protection (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    scheme TEXT NOT NULL CHECK (scheme IN ('default', 'pbe')),
    -- PKCS #5 PBES2: parameters and the encrypted storage secret, in DER.
    encrypted BLOB CHECK ((encrypted IS NULL) = (scheme = 'default')),
    -- Grows with each change.
    generation INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;
