-- What a pause holds is found by it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS task_paused ON task (pause_id, pulp_id) WHERE state = 'waiting' AND pause_id IS NOT NULL;
