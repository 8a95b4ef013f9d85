-- What is removed is left out behind the fence (`OFFSET 0`): before it, the index of what is present would
-- be walked as long as the statistics take it for empty.
-- The terms on versions are kept from indexes (`+ 0`), and the key is compared by the join alone: a
-- unit's row is to be found by the unit.
SELECT DISTINCT old.content_id
  FROM unnest($2) u (id)
 CROSS JOIN LATERAL (SELECT m.repo_key FROM repository_content m
                      WHERE m.repository_id = $1 AND m.content_id = u.id
                        AND m.version_removed IS NULL LIMIT 1) new
 CROSS JOIN LATERAL (SELECT m.content_id, m.version_removed FROM repository_content m
                      WHERE m.repository_id = $1 AND m.repo_key = new.repo_key
                        AND m.content_id <> u.id OFFSET 0) old
 CROSS JOIN LATERAL (SELECT true FROM content nc JOIN content oc
                         ON oc.repo_key = nc.repo_key AND oc.pulp_type = nc.pulp_type
                      WHERE nc.pulp_id = u.id AND oc.pulp_id = old.content_id LIMIT 1) same
 CROSS JOIN LATERAL (SELECT true FROM repository_content s
                      WHERE s.repository_id = $3 AND s.content_id = old.content_id
                        AND s.version_added + 0 <= $4
                        AND (s.version_removed IS NULL OR s.version_removed > $4) LIMIT 1) was_there
  LEFT JOIN LATERAL (SELECT true AS there FROM repository_content s
                      WHERE s.repository_id = $3 AND s.content_id = u.id AND s.version_added + 0 <= $4
                        AND (s.version_removed IS NULL OR s.version_removed > $4) LIMIT 1) before ON true
 WHERE before.there IS NULL AND old.version_removed IS NULL
