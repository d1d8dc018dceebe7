-- Supervisions whose document could not be read when their work was due, for `sidedoor check`.
CREATE TABLE unreadable_supervisions (
    supervision_id TEXT    PRIMARY KEY REFERENCES supervisions (id) ON DELETE CASCADE,
    found_at       INTEGER NOT NULL,
    reason         TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX unreadable_by_time ON unreadable_supervisions (found_at);
