-- Contacts that agents had and that ended, for the report of coverage. After two days they are counted in coverage_days.
CREATE TABLE handled_contacts (
    instance   TEXT    NOT NULL,
    contact_id TEXT    NOT NULL,
    ended_at   INTEGER NOT NULL,                    -- on the vendor's clock
    channel    TEXT    NOT NULL,
    queue      TEXT    NOT NULL,                    -- '' for none
    agent      TEXT    NOT NULL,
    PRIMARY KEY (instance, contact_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX handled_contacts_by_end ON handled_contacts (ended_at);

CREATE TABLE coverage_days (
    day        INTEGER NOT NULL,                    -- days since 1970-01-01, UTC
    instance   TEXT    NOT NULL,
    channel    TEXT    NOT NULL,
    queue      TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    contacts   INTEGER NOT NULL,
    supervised INTEGER NOT NULL,
    PRIMARY KEY (day, instance, channel, queue, agent)
) STRICT, WITHOUT ROWID;
