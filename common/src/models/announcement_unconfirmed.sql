-- The pause until the next try is as long as the task has waited so far: it doubles, up to a minute.
WITH due AS (
    SELECT pulp_id FROM task
     WHERE state = 'waiting' AND unblocked_at IS NOT NULL AND announced_at IS NULL
       AND greatest(unblocked_at, not_before, announce_after) <= statement_timestamp()
       AND unblocked_at < statement_timestamp() - interval '1 s'
     ORDER BY greatest(unblocked_at, not_before, announce_after)
     LIMIT $1
       FOR UPDATE SKIP LOCKED),
tried AS (
    UPDATE task t SET announce_after = clock_timestamp()
           + least(greatest(clock_timestamp() - t.unblocked_at, interval '1 s'), interval '1 min')
      FROM due WHERE t.pulp_id = due.pulp_id
    RETURNING t.*)
SELECT jsonb_agg(millrace_announcement(t::task) ORDER BY t.ticket) AS announcements FROM tried t
