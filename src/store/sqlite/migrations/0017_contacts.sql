-- Contact ids are UUIDs, so two spellings that differ only in upper and lower case are one contact.

DROP INDEX supervisions_by_contact;
CREATE INDEX supervisions_by_contact ON supervisions (contact_id COLLATE NOCASE, id);
