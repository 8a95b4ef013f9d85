-- Those whose requests wait are found however many others are overdue.
CREATE INDEX CONCURRENTLY IF NOT EXISTS task_claim_soon ON task (claim_before) WHERE state = 'waiting' AND NOT deferred;
