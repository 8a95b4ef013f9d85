-- From those who run, who are few, to their resources.
SELECT h.resource, h.exclusive, h.pulp_id AS task, h.name, h.state, h.started_at AS since, h.worker_id AS worker,
       w.name AS worker_name, h.created_by, h.holders
  FROM (SELECT v.resource, v.exclusive, v.ticket, t.pulp_id, t.name, t.state, t.started_at, t.worker_id, t.created_by,
               row_number() OVER (PARTITION BY v.resource ORDER BY v.ticket) AS place,
               count(*) OVER (PARTITION BY v.resource) AS holders
          FROM task t JOIN reservation v ON v.task_id = t.pulp_id
         WHERE t.state IN ('running', 'canceling') AND v.resource = ANY ($1)) h
  LEFT JOIN app_status w ON w.pulp_id = h.worker_id
 WHERE h.place <= $2
 ORDER BY h.resource, h.place
