INSERT INTO task_schedule AS s (pulp_id, pulp_domain, name, task_name, enc_args, dispatch_interval, next_dispatch, managed)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $6::double precision), true)
    ON CONFLICT (pulp_domain, name) DO UPDATE
   SET task_name = excluded.task_name, enc_args = excluded.enc_args, dispatch_interval = excluded.dispatch_interval,
       next_dispatch = CASE WHEN s.dispatch_interval = excluded.dispatch_interval
                            THEN s.next_dispatch ELSE least(s.next_dispatch, excluded.next_dispatch) END,
       last_error = NULL, not_before = NULL, pulp_last_updated = clock_timestamp()
 WHERE s.managed
