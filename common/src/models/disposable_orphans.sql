-- $1 domain, $2 moment, $3 only these units (null: all). What `Orphans::lock` and
-- `Artifact::lock_orphans` would find; an artifact goes too where all units that have it go.
WITH unit AS MATERIALIZED (
    SELECT c.pulp_id, c.pulp_type FROM content c
     WHERE c.pulp_domain = $1 AND c.timestamp_of_interest < $2
       AND c.pulp_type <> 'core.publishedmetadata' AND ($3 IS NULL OR c.pulp_id = ANY ($3))
       AND NOT EXISTS (SELECT FROM repository_content m WHERE m.content_id = c.pulp_id)
       AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = c.pulp_id)),
owned AS MATERIALIZED (
    SELECT a.pulp_id, a.size, u.pulp_type, count(*) AS owners
      FROM unit u JOIN content_artifact ca ON ca.content_id = u.pulp_id
      JOIN artifact a ON a.pulp_id = ca.artifact_id
     WHERE a.timestamp_of_interest < $2
       AND NOT EXISTS (SELECT FROM used_object x WHERE x.object_id = a.pulp_id)
     GROUP BY a.pulp_id, u.pulp_type),
kept AS (
    SELECT o.pulp_id FROM owned o GROUP BY o.pulp_id
    HAVING sum(o.owners) < (SELECT count(*) FROM content_artifact ca WHERE ca.artifact_id = o.pulp_id)),
going AS MATERIALIZED (
    SELECT o.pulp_id, o.size, o.pulp_type FROM owned o
     WHERE o.pulp_id NOT IN (SELECT k.pulp_id FROM kept k)
    UNION ALL
    SELECT a.pulp_id, a.size, NULL FROM artifact a
     WHERE a.pulp_domain = $1 AND a.timestamp_of_interest < $2
       AND NOT EXISTS (SELECT FROM content_artifact ca WHERE ca.artifact_id = a.pulp_id)
       AND NOT EXISTS (SELECT FROM used_object x WHERE x.object_id = a.pulp_id))
SELECT u.pulp_type, u.units, coalesce(g.artifacts, 0) AS artifacts, coalesce(g.bytes, 0) AS bytes
  FROM (SELECT pulp_type, count(*) AS units FROM unit GROUP BY pulp_type) u
  LEFT JOIN (SELECT pulp_type, count(*) AS artifacts, sum(size)::bigint AS bytes
               FROM going GROUP BY pulp_type) g USING (pulp_type)
UNION ALL
SELECT NULL, (SELECT count(*) FROM unit), count(*), coalesce(sum(d.size), 0)::bigint
  FROM (SELECT DISTINCT pulp_id, size FROM going) d
ORDER BY 1 NULLS LAST
