-- Bounds of an index are times of the statement: by a clock that runs, every row would be compared.
WITH due AS (
    SELECT pulp_id FROM task
     WHERE state = 'waiting' AND class = $1 AND announced_at IS NOT NULL
       AND announced_at < greatest(
           (SELECT claimed_announced_at - interval '30 s' FROM class_progress WHERE class = $1),
           CASE WHEN $2 THEN statement_timestamp() - interval '1 s' END)
       AND (announce_after IS NULL OR announce_after <= clock_timestamp())
     ORDER BY announced_at
     LIMIT $3
       FOR UPDATE SKIP LOCKED),
again AS (
    UPDATE task t SET announced_at = NULL, announce_no = t.announce_no + 1, announce_after = clock_timestamp()
           + least(greatest(clock_timestamp() - t.unblocked_at, interval '1 s'), interval '1 min')
      FROM due WHERE t.pulp_id = due.pulp_id
    RETURNING t.*)
SELECT jsonb_agg(millrace_announcement(t::task) ORDER BY t.ticket) AS announcements FROM again t
