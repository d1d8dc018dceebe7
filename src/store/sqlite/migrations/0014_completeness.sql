-- What the checks for missed legs have covered, one row an instance. Times are the vendor's.
CREATE TABLE completeness (
    instance TEXT    PRIMARY KEY,
    since    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    legs     INTEGER NOT NULL,
    missed   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
