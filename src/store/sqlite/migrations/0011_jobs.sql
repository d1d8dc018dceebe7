-- What is to be done next for a supervision, written in the transaction of its state. The process keeps the due times in memory, so that
-- there is no index of them to write. An idle supervision has no job: all of them are polled together.
CREATE TABLE jobs (
    supervision_id TEXT    PRIMARY KEY REFERENCES supervisions (id) ON DELETE CASCADE,
    class          TEXT    NOT NULL,                -- a higher class comes first
    due_at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO jobs (supervision_id, class, due_at)
SELECT id,
       CASE state WHEN 'LEFT' THEN 'AFTER_CHECK' WHEN 'FAILED' THEN 'AFTER_CHECK' WHEN 'LEAVING' THEN 'CLAIM'
                  WHEN 'MONITORING' THEN 'IDLE_POLL' ELSE 'JOIN' END,
       next_check_at
FROM supervisions WHERE next_check_at IS NOT NULL;

DROP INDEX supervisions_by_check;
ALTER TABLE supervisions DROP COLUMN next_check_at;
