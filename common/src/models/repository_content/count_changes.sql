SELECT false AS removed, c.pulp_type, count(*) FROM repository_content m
  JOIN content c ON c.pulp_id = m.content_id
 WHERE m.repository_id = $1 AND m.version_added > $2 AND m.version_added <= $3
   AND (m.version_removed IS NULL OR m.version_removed > $3)
   AND ($3 = $2 + 1 OR NOT EXISTS (SELECT FROM repository_content o
         WHERE o.repository_id = $1 AND o.content_id = m.content_id
           AND o.version_added <= $2 AND o.version_removed > $2))
 GROUP BY c.pulp_type
UNION ALL
SELECT true, c.pulp_type, count(*) FROM repository_content m
  JOIN content c ON c.pulp_id = m.content_id
 WHERE m.repository_id = $1 AND m.version_removed > $2 AND m.version_removed <= $3 AND m.version_added <= $2
   AND ($3 = $2 + 1 OR NOT EXISTS (SELECT FROM repository_content o
         WHERE o.repository_id = $1 AND o.content_id = m.content_id
           AND o.version_added > $2 AND o.version_added <= $3
           AND (o.version_removed IS NULL OR o.version_removed > $3)))
 GROUP BY c.pulp_type
