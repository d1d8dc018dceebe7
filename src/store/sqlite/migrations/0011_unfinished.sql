-- The documents and the next steps of supervisions for which something is left to be done. An update of such a supervision writes this row,
-- and `supervisions` only if one of the columns that are searched changed. When nothing is left to be done, the row is deleted: the
-- finished ones then lie close together, because none of them ever filled half a page.
--
-- The process keeps the due times in memory, so that there is no index of them to write. An idle supervision has no next step: all of
-- them are polled together.
CREATE TABLE unfinished (
    supervision_id TEXT    NOT NULL REFERENCES supervisions (id) ON DELETE CASCADE,
    revision       INTEGER NOT NULL,
    class          TEXT,                            -- of the next step; a higher class comes first
    due_at         INTEGER,
    doc            TEXT    NOT NULL
) STRICT;

INSERT INTO unfinished (supervision_id, revision, class, due_at, doc)
SELECT id, revision,
       CASE WHEN next_check_at IS NULL THEN NULL
            WHEN state IN ('LEFT', 'FAILED') THEN 'AFTER_CHECK' WHEN state = 'LEAVING' THEN 'CLAIM'
            WHEN state = 'MONITORING' THEN 'IDLE_POLL' ELSE 'JOIN' END,
       next_check_at, doc
FROM supervisions WHERE next_check_at IS NOT NULL OR state NOT IN ('LEFT', 'FAILED')
ORDER BY id;

CREATE UNIQUE INDEX unfinished_by_supervision ON unfinished (supervision_id);

-- The document of a finished supervision, compressed (src/store/documents/packed.rs). Those of earlier versions stay in `doc`.
ALTER TABLE supervisions ADD COLUMN packed BLOB;
UPDATE supervisions SET doc = '' WHERE id IN (SELECT supervision_id FROM unfinished);
DROP INDEX supervisions_by_check;
ALTER TABLE supervisions DROP COLUMN next_check_at;
