-- Units are compared behind a fence (`OFFSET 0`): a term on them would tempt the planner to walk an index of
-- units instead of that of keys. So would a term on what is present, as long as the statistics take the index
-- of that for empty.
SELECT u.id AS content_id
  FROM unnest($2) u (id)
 CROSS JOIN LATERAL (SELECT m.repo_key FROM repository_content m
                      WHERE m.repository_id = $1 AND m.content_id = u.id
                        AND m.version_removed IS NULL LIMIT 1) new
 CROSS JOIN LATERAL (SELECT true
                       FROM (SELECT m.content_id, m.version_removed FROM repository_content m
                              WHERE m.repository_id = $1 AND m.repo_key = new.repo_key OFFSET 0) other
                       JOIN content oc ON oc.pulp_id = other.content_id
                       JOIN content nc ON nc.pulp_id = u.id
                        AND oc.repo_key = nc.repo_key AND oc.pulp_type = nc.pulp_type
                      WHERE other.content_id <> u.id AND (other.content_id < u.id OR NOT $3)
                        AND other.version_removed IS NULL LIMIT 1) rival
