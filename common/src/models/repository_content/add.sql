-- The units are locked first, in the order given: one that orphan clean-up is deleting is waited for,
-- and then left out. The subqueries keep the plan to one look at an index a unit, whatever the
-- statistics say of tables that grow within minutes.
INSERT INTO repository_content (repository_id, content_id, version_added, repo_key)
SELECT $1, c.pulp_id, $2, millrace_key_hash(c.repo_key)
  FROM unnest($3) u (id)
 CROSS JOIN LATERAL (SELECT pulp_id, repo_key FROM content
                      WHERE pulp_id = u.id AND pulp_domain = $4 FOR KEY SHARE) c
  LEFT JOIN LATERAL (SELECT true AS there FROM repository_content m
                      WHERE m.repository_id = $1 AND m.content_id = c.pulp_id
                        AND m.version_removed IS NULL LIMIT 1) present ON true
 WHERE present.there IS NULL
