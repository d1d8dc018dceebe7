-- What acts on a vendor is audited before (BEGUN) and after (DONE, FAILED), under one name of the operation; what was never
-- completed is swept (ABANDONED). Acts whose whole effect is in this database are DONE at once.
ALTER TABLE audit ADD COLUMN phase TEXT NOT NULL DEFAULT 'DONE';
ALTER TABLE audit ADD COLUMN operation TEXT;
ALTER TABLE audit ADD COLUMN why TEXT;

CREATE INDEX audit_by_operation ON audit (operation, seq) WHERE operation IS NOT NULL;
CREATE INDEX audit_begun ON audit (at) WHERE phase = 'BEGUN';
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
CREATE INDEX audit_by_time ON audit (at);

-- INSERT OR REPLACE would take a line away without a word: a line that is there is not written again.
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
