-- One step, however many intervals have passed.
UPDATE task_schedule
   SET last_task = $2, last_error = NULL, not_before = NULL, pulp_last_updated = clock_timestamp(),
       next_dispatch = next_dispatch + make_interval(secs => (dispatch_interval
           * (floor(extract(epoch FROM clock_timestamp() - next_dispatch) / dispatch_interval) + 1))::double precision)
 WHERE pulp_id = $1
