-- Purging walks it from end to end, however many ended in the same moment.
CREATE INDEX CONCURRENTLY IF NOT EXISTS task_ended ON task (finished_at, pulp_id) WHERE finished_at IS NOT NULL;
