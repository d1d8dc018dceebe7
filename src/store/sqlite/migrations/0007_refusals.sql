-- What the CRM refused of this row itself while it took others: apart from `attempts`, which also counts those made while the CRM
-- took nothing, and says nothing against the row.
ALTER TABLE deliveries ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN refused_at INTEGER;
