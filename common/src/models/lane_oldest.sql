-- In the order of the lane: in front of the first that waits are those who run.
SELECT l.resource, first.pulp_created AS since
  FROM unnest($1) AS l(resource)
 CROSS JOIN LATERAL (
    SELECT t.pulp_created FROM reservation v JOIN task t ON t.pulp_id = v.task_id
     WHERE v.resource = l.resource AND t.state = 'waiting'
     ORDER BY v.ticket LIMIT 1) first
