-- A voice slot is a number from 1, unique for each supervisor; 0 is none. Requests are limited to `supervision.max_voice_legs`
-- slots. A leg that runs is a fact, and takes the lowest free number even above the limit.
UPDATE supervisions SET voice_place = numbered.slot
FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY instance, connect_user_id ORDER BY id) AS slot
      FROM supervisions WHERE voice_place = 1) AS numbered
WHERE supervisions.id = numbered.id AND numbered.slot > 1;
DROP INDEX one_voice_place;
DROP INDEX voice_places;
-- Renaming does not rewrite the table, which may hold years of history.
ALTER TABLE supervisions RENAME COLUMN voice_place TO voice_slot;
CREATE UNIQUE INDEX voice_slots ON supervisions (instance, connect_user_id, voice_slot) WHERE voice_slot > 0;

-- Whether Salesforce has a version of the record with the departure. Without it, it is unknown whether a departure was in a version
-- that was written before the end was confirmed.
ALTER TABLE deliveries ADD COLUMN departure_written INTEGER NOT NULL DEFAULT 1;
UPDATE deliveries SET departure_written = 0 WHERE supervision_id IN
    (SELECT id FROM supervisions WHERE state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING'));
UPDATE deliveries SET departure_written = 0 WHERE state = 'PENDING' AND recorded_version = 0;

-- The greatest measured age of an answer of GetCurrentUserData in the last days, for `sidedoor check`.
CREATE TABLE poll_staleness (
    instance    TEXT    PRIMARY KEY,
    measured_at INTEGER NOT NULL,
    age_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
