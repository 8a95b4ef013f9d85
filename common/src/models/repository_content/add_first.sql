-- The units are locked first, in the order given: one that orphan clean-up is deleting is waited for,
-- and then left out. The subqueries keep the plan to one look at an index a unit, whatever the
-- statistics say of tables that grow within minutes.
WITH unit AS MATERIALIZED (
    SELECT c.pulp_id, c.pulp_domain, c.pulp_type, c.repo_key
      FROM unnest($3) u (id)
     CROSS JOIN LATERAL (SELECT pulp_id, pulp_domain, pulp_type, repo_key FROM content
                          WHERE pulp_id = u.id FOR KEY SHARE) c
), added AS (
    INSERT INTO repository_content (repository_id, content_id, version_added, repo_key)
    SELECT $1, unit.pulp_id, $2, millrace_key_hash(unit.repo_key)
      FROM unit
      LEFT JOIN LATERAL (SELECT true AS there FROM repository_content m
                          WHERE m.repository_id = $1 AND m.content_id = unit.pulp_id
                            AND m.version_removed IS NULL LIMIT 1) present ON true
     WHERE present.there IS NULL
    RETURNING content_id
)
SELECT unit.pulp_domain, unit.pulp_type, count(added.content_id) AS added
  FROM unit LEFT JOIN added ON added.content_id = unit.pulp_id
 GROUP BY 1, 2
