WITH noted AS (
    SELECT t.pulp_id, n.at
      FROM unnest($1, $2, $3) AS n(id, number, at)
      JOIN task t ON t.pulp_id = n.id AND t.state = 'waiting' AND t.announce_no = n.number
     ORDER BY t.pulp_id
       FOR UPDATE OF t SKIP LOCKED)
UPDATE task t SET announced_at = noted.at FROM noted WHERE t.pulp_id = noted.pulp_id
