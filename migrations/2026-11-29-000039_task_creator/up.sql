-- The tasks that somebody dispatched, the newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS task_creator ON task (created_by, pulp_created DESC, pulp_id DESC) WHERE created_by IS NOT NULL;
