INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class, logging_cid, unblocked_at,
                  started_at, finished_at, enc_args, reserved_resources_record, immediate, deferred, rerun_after_loss, parent_task)
SELECT lpad(to_hex(n), 32, '0')::uuid, t, t, d.pulp_id, -n, 'completed', 'old', 'default', md5(n::text), t, t, t + interval '1 s',
       repeat(md5(n::text), 6), ARRAY['prn:file.filerepository:' || n % 1000, 'shared:prn:core.domain:' || d.pulp_id],
       false, true, false, CASE WHEN n % 4 = 0 THEN lpad(to_hex(n - 3), 32, '0')::uuid END
  FROM (SELECT n, '2020-01-01'::timestamptz + n * interval '100 ms' AS t FROM generate_series(1, $tasks) n) x, domain d;
INSERT INTO progress_report (pulp_id, task_id, message, code, state)
SELECT gen_random_uuid(), pulp_id, 'Doing', 'do', 'completed' FROM task WHERE name = 'old';
INSERT INTO created_resource (task_id, prn) SELECT pulp_id, 'prn:core.repositoryversion:' || pulp_id FROM task WHERE name = 'old';
VACUUM ANALYZE task, progress_report, created_resource
