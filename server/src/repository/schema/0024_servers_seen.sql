-- The authority version that this server has seen: nothing that it let through under an earlier one is unsent.
ALTER TABLE servers ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
