-- Every line has a MAC over its contents and its position. Lines of earlier versions have none; the first seal covers them.
ALTER TABLE audit ADD COLUMN client_request_id TEXT;
ALTER TABLE audit ADD COLUMN credential TEXT;
ALTER TABLE audit ADD COLUMN peer TEXT;
ALTER TABLE audit ADD COLUMN route TEXT;
ALTER TABLE audit ADD COLUMN times INTEGER;
ALTER TABLE audit ADD COLUMN key_id TEXT;
ALTER TABLE audit ADD COLUMN mac BLOB;

-- What this frees pays for the MACs. The position of a line ends every entry of an index anyway, so that these held it twice. The last
-- eight digits of a supervision's id are random and tell supervisions apart. The lines of one operation are about one supervision, so that only
-- those about none need an index of operations.
DROP INDEX audit_by_supervision;
DROP INDEX audit_by_operation;
DROP INDEX audit_by_actor;
DROP INDEX audit_by_action;
DROP INDEX audit_by_request;
CREATE INDEX audit_by_supervision ON audit (substr(supervision_id, 29)) WHERE supervision_id IS NOT NULL;
CREATE INDEX audit_by_operation ON audit (operation) WHERE operation IS NOT NULL AND supervision_id IS NULL;
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_action ON audit (action);
CREATE INDEX audit_by_request ON audit (request_id) WHERE request_id IS NOT NULL;

-- A seal covers the lines since the seal before it and names that seal's head.
CREATE TABLE audit_seals (
  number    INTEGER PRIMARY KEY,
  first_seq INTEGER NOT NULL,
  last_seq  INTEGER NOT NULL,
  lines     INTEGER NOT NULL,
  digest    BLOB    NOT NULL,
  previous  BLOB    NOT NULL,
  at        INTEGER NOT NULL,
  key_id    TEXT,
  head      BLOB    NOT NULL
) STRICT;

-- Exports that were read again and verified. Lines may be removed behind them.
CREATE TABLE audit_exports (
  id        INTEGER PRIMARY KEY,
  first_seq INTEGER NOT NULL,
  last_seq  INTEGER NOT NULL,
  lines     INTEGER NOT NULL,
  head      BLOB    NOT NULL,
  file      BLOB    NOT NULL,    -- SHA-256
  at        INTEGER NOT NULL,
  key_id    TEXT,
  mac       BLOB    NOT NULL
) STRICT;

DROP TRIGGER audit_is_not_deleted;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_exports WHERE first_seq <= OLD.seq AND last_seq >= OLD.seq)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

CREATE TRIGGER audit_seals_are_not_changed BEFORE UPDATE ON audit_seals
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_seals_are_not_deleted BEFORE DELETE ON audit_seals
WHEN NOT EXISTS (SELECT 1 FROM audit_exports WHERE first_seq <= OLD.first_seq AND last_seq >= OLD.last_seq)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_seals_are_not_replaced BEFORE INSERT ON audit_seals WHEN EXISTS (SELECT 1 FROM audit_seals WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

CREATE TRIGGER audit_exports_are_not_changed BEFORE UPDATE ON audit_exports
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_exports_are_not_deleted BEFORE DELETE ON audit_exports
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
