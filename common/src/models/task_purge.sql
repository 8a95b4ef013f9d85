-- All parts see the same snapshot, so what the cascade would take is counted by deleting it here.
WITH doomed AS (
    SELECT pulp_id FROM task
     WHERE pulp_domain = $1 AND finished_at < $2 AND state = ANY ($3)
     ORDER BY finished_at LIMIT $4 FOR UPDATE SKIP LOCKED
), reports AS (
    DELETE FROM progress_report WHERE task_id IN (SELECT pulp_id FROM doomed) RETURNING 1
), created AS (
    DELETE FROM created_resource WHERE task_id IN (SELECT pulp_id FROM doomed) RETURNING 1
), tasks AS (
    DELETE FROM task WHERE pulp_id IN (SELECT pulp_id FROM doomed) RETURNING 1
)
SELECT (SELECT count(*) FROM tasks) AS tasks,
       (SELECT count(*) FROM reports) AS progress_reports,
       (SELECT count(*) FROM created) AS created_resources
