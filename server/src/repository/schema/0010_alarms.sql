-- Alike alarms are one, which counts them. `alike` is what they have in common; the registration that one is about is
-- its gateway's at the time.
ALTER TABLE alarms ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE alarms ADD COLUMN alike TEXT NOT NULL DEFAULT '';
ALTER TABLE alarms ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
ALTER TABLE alarms ADD COLUMN last_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alarms ADD COLUMN gateway_id BLOB;
-- By an administrator with a reason, or since the gateway enrolled anew. NULL: it is open.
ALTER TABLE alarms ADD COLUMN closed_ms INTEGER;
ALTER TABLE alarms ADD COLUMN closed_by TEXT;
ALTER TABLE alarms ADD COLUMN reason TEXT;

UPDATE alarms SET last_ms = raised_ms;

-- What a gateway last said of itself.
ALTER TABLE gateways ADD COLUMN host TEXT;
ALTER TABLE gateways ADD COLUMN version TEXT;
