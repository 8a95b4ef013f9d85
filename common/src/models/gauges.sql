WITH pending AS (
    SELECT name, class, state,
           state = 'waiting' AND unblocked_at IS NOT NULL AND coalesce(not_before <= now(), true) AS runnable,
           count(*) AS count, extract(epoch FROM clock_timestamp() - min(unblocked_at)) AS oldest
      FROM task WHERE state IN ('waiting', 'running', 'canceling') GROUP BY 1, 2, 3, 4),
-- Each of these views is a look at shared memory.
lock AS (
    SELECT count(*) FILTER (WHERE locktype = 'advisory') AS advisory, count(*) FILTER (WHERE NOT fastpath) AS used
      FROM pg_locks),
buried AS (
    SELECT count(*) AS count, coalesce(sum(size), 0)::bigint AS bytes, min(buried) AS first FROM tombstone)
SELECT (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM pending p) AS pending,
       buried.count AS tombstones, buried.bytes AS tombstone_bytes,
       coalesce(extract(epoch FROM clock_timestamp() - buried.first), 0)::double precision AS tombstone_age,
       lock.advisory AS advisory_locks, lock.used AS locks,
       current_setting('max_locks_per_transaction')::bigint
           * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint) AS lock_table,
       coalesce((SELECT greatest(extract(epoch FROM clock_timestamp() - greatest(next_dispatch, not_before)), 0)
                   FROM task_schedule WHERE next_dispatch IS NOT NULL
                  ORDER BY greatest(next_dispatch, not_before) LIMIT 1), 0)::double precision AS schedule_lag,
       (SELECT count(*) FROM app_status WHERE app_type = 'worker'
           AND last_heartbeat > clock_timestamp() - make_interval(secs => ttl_seconds)) AS workers,
       coalesce((SELECT extract(epoch FROM clock_timestamp() - last_pass) FROM janitor), 0)::double precision AS janitor_idle,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS sessions,
       current_setting('max_connections')::bigint AS max_sessions
  FROM lock, buried
