-- What browsers are told to do, by supervisor, so that a stream of it can be resumed: every change of a directive is a row of
-- its own, newer ones replacing older. `seq` is never used twice. The directive itself stands in the supervision.

CREATE TABLE directives (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE,
    supervision_id  TEXT    NOT NULL REFERENCES supervisions (id) ON DELETE CASCADE,
    instance        TEXT    NOT NULL,
    connect_user_id TEXT    NOT NULL,
    status          TEXT    NOT NULL                -- OPEN, WITHDRAWN, or the browser's answer
) STRICT;

CREATE INDEX directives_by_user ON directives (instance, connect_user_id, seq);
CREATE INDEX directives_by_supervision ON directives (supervision_id);

ALTER TABLE supervisions ADD COLUMN agent_id TEXT;
ALTER TABLE supervisions ADD COLUMN overdue INTEGER NOT NULL DEFAULT 0;
CREATE INDEX supervisions_by_agent ON supervisions (instance, agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX supervisions_overdue ON supervisions (id) WHERE overdue = 1;
