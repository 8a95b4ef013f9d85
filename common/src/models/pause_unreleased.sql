-- From one id to the next, however many tasks each holds.
WITH RECURSIVE holding(id) AS (
    (SELECT t.pause_id FROM task t WHERE t.state = 'waiting' AND t.pause_id IS NOT NULL
      ORDER BY t.pause_id LIMIT 1)
    UNION ALL
    SELECT (SELECT t.pause_id FROM task t WHERE t.state = 'waiting' AND t.pause_id IS NOT NULL
               AND t.pause_id > holding.id ORDER BY t.pause_id LIMIT 1)
      FROM holding WHERE holding.id IS NOT NULL)
SELECT coalesce(array_agg(h.id), '{}') AS ended FROM holding h
 WHERE h.id IS NOT NULL AND NOT EXISTS (SELECT FROM pause p WHERE p.pulp_id = h.id)
