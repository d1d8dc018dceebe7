-- A key belongs to the one request that took it (its claim), and not everything it starts is of one supervision.

CREATE TABLE idempotency_keys_anew (
    caller         TEXT    NOT NULL,
    key            TEXT    NOT NULL,
    fingerprint    TEXT    NOT NULL,
    claim          TEXT,                            -- NULL: of a version before, whose process is gone
    supervision_id TEXT,
    taken_by       TEXT    NOT NULL,                -- the process: one from before a crash will never answer
    taken_at       INTEGER NOT NULL,
    status         INTEGER,
    body           TEXT,
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;

INSERT INTO idempotency_keys_anew (caller, key, fingerprint, supervision_id, taken_by, taken_at, status, body)
SELECT caller, key, fingerprint, supervision_id, taken_by, taken_at, status, body FROM idempotency_keys;

DROP TABLE idempotency_keys;
ALTER TABLE idempotency_keys_anew RENAME TO idempotency_keys;
CREATE INDEX idempotency_by_age ON idempotency_keys (taken_at);
