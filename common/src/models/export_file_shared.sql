-- $1 repository, $2 number of a version, $3 publication or null, $4 repository and $5 number of the version that
-- an incremental export begins at or null. A path that several of the files to be exported have, or null. The
-- aggregate outside makes the planner count on all rows: for the first alone it would look at each by itself.
WITH start AS MATERIALIZED (
    SELECT DISTINCT link.artifact_id
      FROM repository_content m JOIN content_artifact link ON link.content_id = m.content_id
     WHERE m.repository_id = $4 AND m.version_added <= $5
       AND (m.version_removed IS NULL OR m.version_removed > $5) AND link.artifact_id IS NOT NULL
)
SELECT min(shared.path) AS path
  FROM (SELECT link.relative_path AS path
          FROM repository_content m
          JOIN content_artifact link ON link.content_id = m.content_id
          LEFT JOIN start ON start.artifact_id = link.artifact_id
         WHERE m.repository_id = $1 AND m.version_added <= $2
           AND (m.version_removed IS NULL OR m.version_removed > $2)
           AND start.artifact_id IS NULL
           AND NOT EXISTS (SELECT FROM published_artifact p
                            WHERE p.publication_id = $3 AND p.relative_path = link.relative_path)
         GROUP BY link.relative_path HAVING count(*) > 1) shared
