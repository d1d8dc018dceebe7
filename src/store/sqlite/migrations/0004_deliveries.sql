-- When to look again for the VoiceCall that a recorded row lacks.
ALTER TABLE deliveries ADD COLUMN look_again_at INTEGER;
CREATE INDEX deliveries_looking ON deliveries (look_again_at) WHERE look_again_at IS NOT NULL;
-- Dead letters and others by supervision, newest first.
DROP INDEX deliveries_dead;
CREATE INDEX deliveries_by_state ON deliveries (state, supervision_id);
