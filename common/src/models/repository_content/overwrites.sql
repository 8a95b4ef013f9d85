SELECT nc.pulp_type, u.id AS incoming, old.content_id AS existing
  FROM unnest($3) u (id)
 CROSS JOIN LATERAL (SELECT c.pulp_type, c.repo_key FROM content c
                      WHERE c.pulp_id = u.id AND c.repo_key IS NOT NULL LIMIT 1) nc
 CROSS JOIN LATERAL (SELECT m.content_id FROM repository_content m
                      WHERE m.repository_id = $1 AND m.repo_key = millrace_key_hash(nc.repo_key)
                        AND m.version_added <= $2
                        AND (m.version_removed IS NULL OR m.version_removed > $2)
                        AND m.content_id <> u.id OFFSET 0) old
 CROSS JOIN LATERAL (SELECT true FROM content oc
                      WHERE oc.pulp_id = old.content_id AND oc.repo_key = nc.repo_key
                        AND oc.pulp_type = nc.pulp_type LIMIT 1) same
 WHERE NOT old.content_id = ANY ($4)
 ORDER BY 2, 3
