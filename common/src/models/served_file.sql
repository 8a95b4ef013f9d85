-- $1 publication, $2 path, $3 repository and $4 number of its version, $5 whether it passes through.
WITH found AS (
    SELECT content_artifact_id AS id, 0 AS place
      FROM published_artifact WHERE publication_id = $1 AND relative_path = $2
    UNION ALL
    -- Of the units of the path only the last one added can be held: nothing before it is read.
    SELECT newest.id, 1
      FROM (SELECT file.pulp_id AS id, m.version_removed
              FROM repository_content m
              JOIN content_artifact file ON file.content_id = m.content_id AND file.relative_path = $2
             WHERE $5 AND m.repository_id = $3
               AND m.repo_key = millrace_key_hash(sha256(convert_to($2, 'UTF8')))
               AND m.version_added <= $4
             ORDER BY m.version_added DESC LIMIT 1) newest
     WHERE newest.version_removed IS NULL OR newest.version_removed > $4
    ORDER BY place LIMIT 1
)
SELECT file.pulp_id AS content_artifact_id, a.pulp_id AS artifact_id, a.storage_key, a.size, a.sha256,
       a.pulp_created AS modified
  FROM found JOIN content_artifact file ON file.pulp_id = found.id
  LEFT JOIN artifact a ON a.pulp_id = file.artifact_id
