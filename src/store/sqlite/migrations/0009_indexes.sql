-- Indexes for reads whose cost must not grow with the history. Rows that are unfinished, open or due have partial indexes, because
-- without statistics SQLite's planner considers `state = ?` selective, although nearly every row is LEFT.
-- The ids of contacts and users are unique across instances, so that one index serves lists with and without an instance.

ALTER TABLE supervisions ADD COLUMN voice_call_id TEXT;
-- Skips a document that is not JSON, because otherwise it would keep the service from starting.
UPDATE supervisions SET voice_call_id = json_extract(doc, '$.voice_call_id') WHERE json_valid(doc);

DROP INDEX supervisions_by_user;
DROP INDEX supervisions_by_contact;
DROP INDEX supervisions_by_agent;
CREATE INDEX supervisions_unfinished ON supervisions (state, id)
    WHERE state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING');
CREATE INDEX supervisions_unfinished_by_user ON supervisions (connect_user_id, id)
    WHERE state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING');
-- Observed legs occupy the voice slot too, and the unique index does not contain them.
CREATE INDEX voice_places ON supervisions (instance, connect_user_id, id) WHERE voice_place = 1;
CREATE INDEX supervisions_by_user ON supervisions (connect_user_id, id);
CREATE INDEX supervisions_by_contact ON supervisions (contact_id, id);
CREATE INDEX supervisions_by_agent ON supervisions (agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX supervisions_by_instance ON supervisions (instance, id);
CREATE INDEX supervisions_by_origin ON supervisions (origin, id);

CREATE INDEX directives_open_by_user ON directives (instance, connect_user_id, seq) WHERE status = 'OPEN';
CREATE INDEX directives_open ON directives (seq) WHERE status = 'OPEN';

-- Departures for which the org had no record of its own when it was last asked.
CREATE INDEX comparisons_to_repeat ON comparisons (looked_at) WHERE left_at IS NULL;
CREATE INDEX clock_epochs_by_time ON clock_epochs (since);
CREATE INDEX audit_by_request ON audit (request_id, seq) WHERE request_id IS NOT NULL;
CREATE INDEX audit_by_phase ON audit (phase, seq) WHERE phase <> 'DONE';
