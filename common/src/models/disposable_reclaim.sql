-- $1 domain, $2 repositories, $3 types that may lose their files, $4 and $5 versions that keep theirs
-- (repository and number), $6 also what no remote has. What `Reclaim::lock` and `Reclaim::detach` would find.
-- The fences (`OFFSET 0`) keep the plan to looks by index, a unit each, and nothing is joined with a list that was just made:
-- after a synchronisation the statistics know of none of these rows, and would have all of them compared with all. `IS TRUE`
-- hides a condition from the index of all that have artifacts.
WITH kept AS (SELECT * FROM unnest($4::uuid[], $5::integer[]) AS k (repository_id, number)),
file AS MATERIALIZED (
    SELECT c.pulp_id AS content_id, c.pulp_type, ca.artifact_id
      FROM (SELECT DISTINCT m.content_id FROM repository_content m WHERE m.repository_id = ANY ($2)) held
     CROSS JOIN LATERAL (SELECT c.pulp_id, c.pulp_domain, c.pulp_type FROM content c
                          WHERE c.pulp_id = held.content_id OFFSET 0) c
     CROSS JOIN LATERAL (SELECT ca.pulp_id, ca.artifact_id FROM content_artifact ca
                          WHERE ca.content_id = c.pulp_id AND (ca.artifact_id IS NOT NULL) IS TRUE OFFSET 0) ca
     WHERE c.pulp_domain = $1 AND c.pulp_type = ANY ($3)
       AND NOT EXISTS (SELECT FROM repository_content o JOIN repository r ON r.pulp_id = o.repository_id
                        WHERE o.content_id = c.pulp_id AND o.repository_id <> ALL ($2) OFFSET 0)
       AND NOT EXISTS (SELECT FROM kept k JOIN repository_content o ON o.repository_id = k.repository_id
                        WHERE o.content_id = c.pulp_id AND o.version_added <= k.number
                          AND (o.version_removed IS NULL OR o.version_removed > k.number) OFFSET 0)
       AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = c.pulp_id OFFSET 0)
       AND ($6 OR EXISTS (SELECT FROM remote_artifact s WHERE s.content_artifact_id = ca.pulp_id OFFSET 0))),
going AS MATERIALIZED (
    SELECT a.pulp_id, a.size, f.types FROM artifact a
      JOIN (SELECT artifact_id, count(*) AS owners, array_agg(DISTINCT pulp_type) AS types
              FROM file GROUP BY artifact_id) f ON f.artifact_id = a.pulp_id
     WHERE f.owners = (SELECT count(*) FROM content_artifact ca WHERE ca.artifact_id = a.pulp_id)
       AND NOT EXISTS (SELECT FROM used_object x WHERE x.object_id = a.pulp_id OFFSET 0)),
of_type AS (
    SELECT t.pulp_type, g.pulp_id, g.size FROM going g CROSS JOIN unnest(g.types) t (pulp_type))
SELECT u.pulp_type, u.units, coalesce(g.artifacts, 0) AS artifacts, coalesce(g.bytes, 0) AS bytes
  FROM (SELECT pulp_type, count(DISTINCT content_id) AS units FROM file GROUP BY pulp_type) u
  LEFT JOIN (SELECT pulp_type, count(*) AS artifacts, sum(size)::bigint AS bytes
               FROM of_type GROUP BY pulp_type) g USING (pulp_type)
UNION ALL
SELECT NULL, (SELECT count(DISTINCT content_id) FROM file), count(*), coalesce(sum(size), 0)::bigint FROM going
ORDER BY 1 NULLS LAST
