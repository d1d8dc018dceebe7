-- Supervisions of which names are still looked up.
CREATE TABLE unnamed (
    supervision_id TEXT PRIMARY KEY REFERENCES supervisions (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
