-- What grows with every supervision is stored in fewer bytes.

-- The body of an answer, compressed (src/store/documents/packed.rs). Earlier rows keep their text in `body`.
ALTER TABLE idempotency_keys ADD COLUMN packed BLOB;

-- Samples of the vendors' clocks: numbers instead of documents, and each clock is named once. Moments are nanoseconds since the Unix
-- epoch. Samples of earlier versions are in whole milliseconds.
CREATE TABLE clocks (
    id       INTEGER PRIMARY KEY,
    vendor   TEXT NOT NULL,
    instance TEXT NOT NULL,
    source   TEXT NOT NULL,
    field    TEXT NOT NULL,
    UNIQUE (vendor, instance, source, field)
) STRICT;

INSERT INTO clocks (vendor, instance, source, field)
SELECT DISTINCT vendor, instance, source, field FROM clock_samples;

CREATE TABLE clock_samples_anew (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    clock      INTEGER NOT NULL REFERENCES clocks (id),
    learnt_at  INTEGER NOT NULL,                -- epoch milliseconds, as everywhere else
    not_before INTEGER,
    asked      INTEGER,
    not_after  INTEGER NOT NULL,
    stamp      INTEGER NOT NULL,
    cause      TEXT    NOT NULL
) STRICT;

INSERT INTO clock_samples_anew (seq, clock, learnt_at, not_before, asked, not_after, stamp, cause)
SELECT seq,
       (SELECT id FROM clocks c
        WHERE c.vendor = s.vendor AND c.instance = s.instance AND c.source = s.source AND c.field = s.field),
       learnt_at,
       CAST(ROUND(unixepoch(json_extract(doc, '$.not_before'), 'subsec') * 1000) AS INTEGER) * 1000000,
       CAST(ROUND(unixepoch(json_extract(doc, '$.asked'), 'subsec') * 1000) AS INTEGER) * 1000000,
       CAST(ROUND(unixepoch(json_extract(doc, '$.not_after'), 'subsec') * 1000) AS INTEGER) * 1000000,
       CAST(ROUND(unixepoch(json_extract(doc, '$.stamp'), 'subsec') * 1000) AS INTEGER) * 1000000,
       json_extract(doc, '$.cause')
FROM clock_samples s
-- Skips a document that is not JSON, because otherwise it would keep the service from starting.
WHERE json_valid(doc) AND json_extract(doc, '$.not_after') IS NOT NULL AND json_extract(doc, '$.stamp') IS NOT NULL
  AND json_extract(doc, '$.cause') IS NOT NULL
ORDER BY seq;

DROP TABLE clock_samples;
ALTER TABLE clock_samples_anew RENAME TO clock_samples;
CREATE INDEX clock_samples_by_clock ON clock_samples (clock, learnt_at);
CREATE INDEX clock_samples_by_age ON clock_samples (learnt_at);
