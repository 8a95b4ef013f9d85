-- $1 this worker.
WITH beat AS (
    UPDATE app_status SET beat = beat + 1, last_heartbeat = clock_timestamp() WHERE pulp_id = $1 RETURNING 1)
SELECT EXISTS (SELECT FROM beat) AS registered,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'task', pulp_id, 'claim', claim_id, 'canceling', state = 'canceling',
                   'overdue', coalesce(deadline <= clock_timestamp(), false))), '[]')
          FROM task WHERE state IN ('running', 'canceling') AND worker_id = $1) AS held,
       (SELECT jsonb_object_agg(pulp_id, beat) FROM app_status WHERE app_type = 'worker' AND pulp_id <> $1) AS others
