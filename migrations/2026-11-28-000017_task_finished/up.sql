-- `task_ended` serves what it served.
DROP INDEX CONCURRENTLY IF EXISTS task_finished;
