WITH made AS (
    INSERT INTO repository_version (pulp_id, repository_id, number, complete, info)
    VALUES ($1, $2, $3, true, '{}')
    RETURNING pulp_id, repository_id, number
), changes AS (
    SELECT c.kind, c.pulp_type, c.count FROM unnest($5, $6, $7) c (kind, pulp_type, count)
), counted AS (
    INSERT INTO repository_version_count (version_id, kind, pulp_type, count)
    SELECT made.pulp_id, n.kind, n.pulp_type, n.count
      FROM made
     CROSS JOIN (SELECT kind, pulp_type, count FROM changes
                  UNION ALL
                 SELECT 'present', p.pulp_type, sum(p.count)
                   FROM (SELECT pulp_type, count FROM repository_version_count
                          WHERE version_id = $4 AND kind = 'present'
                          UNION ALL
                         SELECT pulp_type, CASE kind WHEN 'added' THEN count ELSE -count END FROM changes) p
                  GROUP BY p.pulp_type HAVING sum(p.count) > 0) n
)
UPDATE repository SET next_version = made.number + 1 FROM made WHERE repository.pulp_id = made.repository_id
