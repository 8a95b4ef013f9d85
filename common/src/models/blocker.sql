-- A task that needs a resource for itself waits for every earlier one, one that shares it for the earlier exclusive
-- ones: each a walk along an index that ends soon.
WITH own AS MATERIALIZED (
    SELECT v.resource, v.ticket, v.exclusive,
           CASE WHEN v.exclusive
                THEN EXISTS (SELECT FROM reservation e WHERE e.resource = v.resource AND e.ticket < v.ticket)
                ELSE EXISTS (SELECT FROM reservation e
                              WHERE e.resource = v.resource AND e.exclusive AND e.ticket < v.ticket)
           END AS blocked
      FROM reservation v WHERE v.task_id = $1),
shown AS (
    SELECT * FROM own ORDER BY blocked DESC, exclusive DESC, resource LIMIT $2)
SELECT s.resource, s.exclusive, s.blocked, earlier.count + 1 AS position,
       CASE WHEN s.exclusive THEN earlier.count ELSE writers.count END AS in_front,
       coalesce(CASE WHEN s.exclusive THEN first.list ELSE first_writers.list END, '[]') AS first
  FROM shown s
 CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM reservation e WHERE e.resource = s.resource AND e.ticket < s.ticket LIMIT $3) e) earlier
 CROSS JOIN LATERAL (
    SELECT count(*) FROM (
        SELECT FROM reservation e
         WHERE NOT s.exclusive AND e.resource = s.resource AND e.exclusive AND e.ticket < s.ticket LIMIT $3) e) writers
 CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('task', t.pulp_id, 'name', t.name, 'state', t.state, 'exclusive', e.exclusive,
                                        'created_by', t.created_by,
                                        'since', CASE WHEN t.state = 'waiting' THEN t.pulp_created ELSE t.started_at END)
                     ORDER BY e.ticket) AS list
      FROM (SELECT e.task_id, e.ticket, e.exclusive FROM reservation e
             WHERE s.exclusive AND e.resource = s.resource AND e.ticket < s.ticket
             ORDER BY e.ticket LIMIT $4) e
      JOIN task t ON t.pulp_id = e.task_id) first
 CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('task', t.pulp_id, 'name', t.name, 'state', t.state, 'exclusive', e.exclusive,
                                        'created_by', t.created_by,
                                        'since', CASE WHEN t.state = 'waiting' THEN t.pulp_created ELSE t.started_at END)
                     ORDER BY e.ticket) AS list
      FROM (SELECT e.task_id, e.ticket, e.exclusive FROM reservation e
             WHERE NOT s.exclusive AND e.resource = s.resource AND e.exclusive AND e.ticket < s.ticket
             ORDER BY e.ticket LIMIT $4) e
      JOIN task t ON t.pulp_id = e.task_id) first_writers
 ORDER BY s.blocked DESC, s.exclusive DESC, s.resource
