DROP INDEX task_unannounced;
CREATE INDEX task_unannounced ON task (unblocked_at)
    WHERE state = 'waiting' AND unblocked_at IS NOT NULL AND announced_at IS NULL;
ALTER TABLE repository DROP COLUMN part_of;
DROP FUNCTION millrace_dispatch(jsonb, uuid[], uuid[]);
DROP VIEW used_object;
DROP TABLE task_use;
