-- Long work: what was asked for, by whom, and how far it is. What is running when the server ends is resumed when it starts.
CREATE TABLE tasks (
    -- Never given to another task.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    -- JSON.
    parameters TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    reason TEXT CHECK ((reason IS NOT NULL) = (state = 'failed')),
    -- JSON.
    progress TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER CHECK ((ended_ms IS NULL) = (state = 'running'))
) STRICT;

CREATE UNIQUE INDEX one_running_task_of_a_kind ON tasks (kind) WHERE state = 'running';
