-- Counts of a version (`done`) that changes another one ($1) by so many ($4) of these kinds and types ($2, $3); its number is taken.
changes AS (
    SELECT c.kind, c.pulp_type, c.count FROM unnest($2, $3, $4) c (kind, pulp_type, count)
), counted AS (
    INSERT INTO repository_version_count (version_id, kind, pulp_type, count)
    SELECT done.pulp_id, n.kind, n.pulp_type, n.count
      FROM done
     CROSS JOIN (SELECT kind, pulp_type, count FROM changes
                  UNION ALL
                 SELECT 'present', p.pulp_type, sum(p.count)
                   FROM (SELECT pulp_type, count FROM repository_version_count
                          WHERE version_id = $1 AND kind = 'present'
                          UNION ALL
                         SELECT pulp_type, CASE kind WHEN 'added' THEN count ELSE -count END FROM changes) p
                  GROUP BY p.pulp_type HAVING sum(p.count) > 0) n
)
UPDATE repository SET next_version = done.number + 1 FROM done WHERE repository.pulp_id = done.repository_id
