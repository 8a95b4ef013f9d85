-- The units are locked first, in the order given: one that orphan clean-up is deleting is waited for,
-- and then left out. The subqueries keep the plan to one look at an index a unit, whatever the
-- statistics say of tables that grow within minutes.
WITH unit AS MATERIALIZED (
    SELECT c.pulp_id, c.pulp_domain, c.pulp_type, c.repo_key, c.pulp_domain = $4 AND present.there IS NULL AS is_added
      FROM unnest($3) u (id)
     CROSS JOIN LATERAL (SELECT pulp_id, pulp_domain, pulp_type, repo_key FROM content
                          WHERE pulp_id = u.id FOR KEY SHARE) c
      LEFT JOIN LATERAL (SELECT true AS there FROM repository_content m
                          WHERE m.repository_id = $1 AND m.content_id = c.pulp_id
                            AND m.version_removed IS NULL LIMIT 1) present ON true
), added AS (
    INSERT INTO repository_content (repository_id, content_id, version_added, repo_key)
    SELECT $1, pulp_id, $2, millrace_key_hash(repo_key) FROM unit WHERE is_added
)
SELECT pulp_domain, pulp_type, count(*) FILTER (WHERE is_added) AS added FROM unit GROUP BY 1, 2
