-- What is removed is left out behind the fence (`OFFSET 0`): before it, the index of what is present would
-- be walked as long as the statistics take it for empty.
SELECT u.id AS content_id
  FROM unnest($2) u (id)
 CROSS JOIN LATERAL (SELECT m.repo_key FROM repository_content m
                      WHERE m.repository_id = $1 AND m.content_id = u.id
                        AND m.version_removed IS NULL LIMIT 1) new
 CROSS JOIN LATERAL (SELECT true
                       FROM (SELECT m.content_id, m.version_removed FROM repository_content m
                              WHERE m.repository_id = $1 AND m.repo_key = new.repo_key OFFSET 0) other
                      WHERE other.content_id <> u.id AND other.version_removed IS NULL LIMIT 1) old
