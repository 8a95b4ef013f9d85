-- `task_creator` begins with the same column.
DROP INDEX CONCURRENTLY IF EXISTS task_created_by;
