-- Of which protection that was offered for the server keys this server holds the secret; NULL: of none.
ALTER TABLE servers ADD COLUMN holds BLOB;
