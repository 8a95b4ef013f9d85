-- A task that a pause holds waits until 'infinity', which is no time that a program reads.
SELECT t.pulp_id, t.pulp_domain, t.pulp_created, t.name, t.state, t.class, t.versions, t.reserved_resources_record,
       t.unblocked_at, nullif(t.not_before, 'infinity') AS not_before,
       coalesce(t.not_before > clock_timestamp(), false) AS is_deferred, t.announced_at, t.attempts, t.deadline,
       (SELECT count(*) FROM task r WHERE r.state IN ('running', 'canceling') AND r.class = t.class) AS class_running
  FROM task t WHERE t.pulp_id = $1
