-- Times are epoch milliseconds, UTC. `doc` is the whole supervision as JSON; the columns beside it are what is searched.

CREATE TABLE supervisions (
    id              TEXT    PRIMARY KEY,            -- UUIDv7: later ones sort later
    revision        INTEGER NOT NULL,               -- grows with every write; guards the next one
    origin          TEXT    NOT NULL CHECK (origin IN ('API', 'OBSERVED')),
    instance        TEXT    NOT NULL,
    contact_id      TEXT,                           -- unknown only for an observed leg that names none
    leg_id          TEXT,
    connect_user_id TEXT,
    state           TEXT    NOT NULL,
    voice_place     INTEGER NOT NULL,               -- 1 while it holds the supervisor's one voice place
    next_check_at   INTEGER,
    ended_at        INTEGER,
    doc             TEXT    NOT NULL
) STRICT;

-- One leg, one supervision, one row in the CRM.
CREATE UNIQUE INDEX one_supervision_a_leg ON supervisions (instance, leg_id) WHERE leg_id IS NOT NULL;
-- Connect lets a supervisor monitor one voice contact at a time. Observed legs are facts and are not held to it.
CREATE UNIQUE INDEX one_voice_place ON supervisions (instance, connect_user_id) WHERE voice_place = 1 AND origin = 'API';
CREATE INDEX supervisions_by_user ON supervisions (instance, connect_user_id, id);
CREATE INDEX supervisions_by_contact ON supervisions (instance, contact_id, id);
CREATE INDEX supervisions_by_state ON supervisions (state, id);
CREATE INDEX supervisions_by_check ON supervisions (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX supervisions_by_end ON supervisions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE deliveries (
    supervision_id   TEXT    PRIMARY KEY REFERENCES supervisions (id) ON DELETE CASCADE,
    id               TEXT    NOT NULL UNIQUE,
    state            TEXT    NOT NULL CHECK (state IN ('PENDING', 'RECORDED', 'DEAD')),
    version          INTEGER NOT NULL,
    recorded_version INTEGER NOT NULL DEFAULT 0,
    object_name      TEXT,
    record_id        TEXT,
    recorded_at      INTEGER,
    attempts         INTEGER NOT NULL DEFAULT 0,
    last_error       TEXT,
    last_answer      TEXT,
    due_at           INTEGER NOT NULL
) STRICT;

CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'PENDING';
CREATE INDEX deliveries_dead ON deliveries (supervision_id) WHERE state = 'DEAD';

-- Kept by leg, not by supervision: an event may come before the answer that names its leg.
CREATE TABLE evidence (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    instance  TEXT    NOT NULL,
    leg_id    TEXT    NOT NULL,
    learnt_at INTEGER NOT NULL,
    doc       TEXT    NOT NULL
) STRICT;

CREATE INDEX evidence_by_leg ON evidence (instance, leg_id, seq);
CREATE INDEX evidence_by_age ON evidence (learnt_at);

CREATE TABLE unexplained_legs (
    instance TEXT    NOT NULL,
    leg_id   TEXT    NOT NULL,
    due_at   INTEGER NOT NULL,
    looks    INTEGER NOT NULL,
    PRIMARY KEY (instance, leg_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX unexplained_due ON unexplained_legs (due_at);

CREATE TABLE seen_events (
    id      TEXT    PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX seen_events_by_age ON seen_events (seen_at);

CREATE TABLE idempotency_keys (
    caller         TEXT    NOT NULL,
    key            TEXT    NOT NULL,
    fingerprint    TEXT    NOT NULL,
    supervision_id TEXT    NOT NULL,
    taken_by       TEXT    NOT NULL,                -- the process: one from before a crash will never answer
    taken_at       INTEGER NOT NULL,
    status         INTEGER,
    body           TEXT,
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency_keys (taken_at);

CREATE TABLE audit (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    at             INTEGER NOT NULL,
    actor          TEXT    NOT NULL,
    action         TEXT    NOT NULL,
    supervision_id TEXT,
    outcome        TEXT    NOT NULL,
    request_id     TEXT
) STRICT;

CREATE INDEX audit_by_supervision ON audit (supervision_id, seq);

-- The audit outlives everything else, and the database itself refuses to change it.
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
