CREATE INDEX CONCURRENTLY IF NOT EXISTS task_created_by ON task (created_by) WHERE created_by IS NOT NULL;
