-- Direct calls that may change something stand beside the queued ones: one mechanism, and one space of ids.
ALTER TABLE queued_calls ADD COLUMN direct INTEGER NOT NULL DEFAULT 0 CHECK (direct IN (0, 1));
-- The object that it is about; a rename is about two. Calls of one resource that share one go one after the other.
ALTER TABLE queued_calls ADD COLUMN lane TEXT NOT NULL DEFAULT '';
ALTER TABLE queued_calls ADD COLUMN other_lane TEXT NOT NULL DEFAULT '';
-- The gateway that it was dispatched to last; '': to none yet.
ALTER TABLE queued_calls ADD COLUMN gateway TEXT NOT NULL DEFAULT '';
-- Which time it is dispatched, from 1. Only what certainly was not begun is dispatched again.
ALTER TABLE queued_calls ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
-- It is not dispatched before.
ALTER TABLE queued_calls ADD COLUMN next_ms INTEGER;
-- Dispatched, and nobody knows what came of it, for this reason: it is looked at when its gateway is back.
ALTER TABLE queued_calls ADD COLUMN lost TEXT;
-- The audit entry `begun` of the last attempt; 0: it has none.
ALTER TABLE queued_calls ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
-- The id of the call that this one repeats.
ALTER TABLE queued_calls ADD COLUMN retry_of TEXT;
-- 0: MACs of an earlier version, which the next start renews.
ALTER TABLE queued_calls ADD COLUMN form INTEGER NOT NULL DEFAULT 0;
-- Its payload is kept although it has ended.
ALTER TABLE queued_calls ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
-- 0: its gateway has not been told yet that its outcome is stored here.
ALTER TABLE queued_calls ADD COLUMN acknowledged INTEGER NOT NULL DEFAULT 1;

CREATE INDEX queued_calls_lane ON queued_calls (resource, lane, sequence) WHERE state < 2;
CREATE INDEX queued_calls_other_lane ON queued_calls (resource, other_lane, sequence) WHERE state < 2;
CREATE INDEX queued_calls_lost ON queued_calls (gateway) WHERE state = 1 AND lost IS NOT NULL;
CREATE INDEX queued_calls_kept ON queued_calls (ended_ms) WHERE kept = 1;
CREATE INDEX queued_calls_unacknowledged ON queued_calls (gateway) WHERE acknowledged = 0;

-- Of which calls nobody knows what came stands in the calls themselves.
DROP INDEX audit_open_calls;
