ALTER TABLE tombstone DROP COLUMN buried_by;
DROP TABLE task_tally;
