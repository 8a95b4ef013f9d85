DROP TRIGGER bury_unit_storage ON content;
DROP FUNCTION millrace_bury_unit_storage;
DROP TABLE unit_tombstone;
DROP TABLE unit_storage;
