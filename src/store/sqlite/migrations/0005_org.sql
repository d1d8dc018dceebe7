-- How far something that follows changes has come, by its name.
CREATE TABLE cursors (
    name TEXT    PRIMARY KEY,
    seq  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is made once for this journal and kept, such as the salt of the keys by which streams are named to outsiders.
CREATE TABLE once (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO once (name, value) VALUES ('stream_salt', lower(hex(randomblob(32))));

-- What the org itself has of a departure (ConversationParticipant), beside ours. Only compared, never written there.
CREATE TABLE comparisons (
    supervision_id TEXT    PRIMARY KEY REFERENCES supervisions (id) ON DELETE CASCADE,
    looked_at      INTEGER NOT NULL,
    participant_id TEXT,
    left_at        INTEGER,                         -- theirs; NULL while there is none
    ours_at        INTEGER NOT NULL,
    inside         INTEGER                          -- 1: within our earliest and latest, their own whole second allowed for
) STRICT, WITHOUT ROWID;
