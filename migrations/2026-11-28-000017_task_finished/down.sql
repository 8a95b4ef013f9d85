CREATE INDEX CONCURRENTLY IF NOT EXISTS task_finished ON task (finished_at) WHERE finished_at IS NOT NULL;
