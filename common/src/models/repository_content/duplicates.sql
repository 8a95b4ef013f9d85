SELECT '' AS pulp_type, count(*) AS count
  FROM unnest($2) u (id)
 CROSS JOIN LATERAL (SELECT m.repo_key FROM repository_content m
                      WHERE m.repository_id = $1 AND m.content_id = u.id
                        AND m.version_removed IS NULL LIMIT 1) new
 CROSS JOIN LATERAL (SELECT true FROM repository_content other
                       JOIN content oc ON oc.pulp_id = other.content_id
                       JOIN content nc ON nc.pulp_id = u.id
                        AND oc.repo_key = nc.repo_key AND oc.pulp_type = nc.pulp_type
                      WHERE other.repository_id = $1 AND other.repo_key = new.repo_key
                        AND other.version_removed IS NULL AND other.content_id < u.id LIMIT 1) same
