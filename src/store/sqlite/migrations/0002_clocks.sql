-- What is known of the vendors' clocks: every sample, and every epoch but the first. Samples go with the evidence.

CREATE TABLE clock_samples (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    vendor    TEXT    NOT NULL,
    instance  TEXT    NOT NULL,
    source    TEXT    NOT NULL,
    field     TEXT    NOT NULL,
    learnt_at INTEGER NOT NULL,
    doc       TEXT    NOT NULL
) STRICT;

CREATE INDEX clock_samples_by_stream ON clock_samples (vendor, instance, source, field, learnt_at);
CREATE INDEX clock_samples_by_age ON clock_samples (learnt_at);

CREATE TABLE clock_epochs (
    vendor       TEXT    NOT NULL,
    instance     TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    field        TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    since        INTEGER NOT NULL,
    corroborated INTEGER NOT NULL,
    cause        TEXT    NOT NULL CHECK (cause IN ('VENDOR_STEP', 'OWN_STEP')),
    PRIMARY KEY (vendor, instance, source, field, version)
) STRICT, WITHOUT ROWID;
