-- Rows in id order, as the end of a task locks them. The next announcement by the janitor comes a little later than
-- that of whoever releases.
WITH held AS (
    SELECT pulp_id FROM task
     WHERE state = 'waiting' AND pause_id IS NOT NULL AND pause_id = $1
     ORDER BY pulp_id
     LIMIT $2
       FOR UPDATE),
released AS (
    UPDATE task t SET pause_id = NULL, not_before = NULL, announce_after = clock_timestamp() + interval '1 s'
      FROM held WHERE t.pulp_id = held.pulp_id
    RETURNING t.*)
SELECT count(*) AS tasks, jsonb_agg(millrace_announcement(r::task) ORDER BY r.ticket) AS announcements
  FROM released r
