-- The trace that a call belongs to, in 32 hexadecimal digits; NULL: none. It is shown, and decides nothing: no MAC covers it.
ALTER TABLE queued_calls ADD COLUMN trace_id TEXT;
