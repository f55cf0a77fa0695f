-- The sum over all rows that decide, as they stood with this entry, masked under the authority key: whichever server writes
-- the next entry goes on from it. NULL: another entry of its commit has it, or it is older than this column.
ALTER TABLE audit_entries ADD COLUMN rows_sum BLOB;
