-- $1 repository, $2 number of a version, $3 and $4 bounds of the paths, $5 the last unit of the path $3
-- that was seen, $6 how many. As served_paths.sql, from the units of the version: for one that has few.
WITH member AS MATERIALIZED (
    SELECT content_id FROM repository_content
     WHERE repository_id = $1 AND version_added <= $2 AND (version_removed IS NULL OR version_removed > $2)
), range AS MATERIALIZED (
    SELECT c.pulp_id, c.pulp_created, c.fields ->> 'relative_path' AS path
      FROM member CROSS JOIN LATERAL (SELECT * FROM content WHERE pulp_id = member.content_id OFFSET 0) c
     WHERE c.pulp_type = 'file.file'
       AND (c.fields ->> 'relative_path') ~>=~ $3 AND (c.fields ->> 'relative_path') ~<~ $4
       AND ((c.fields ->> 'relative_path') ~>~ $3 OR c.pulp_id > $5)
     ORDER BY (c.fields ->> 'relative_path') USING ~<~, c.pulp_id
     LIMIT $6
)
SELECT range.pulp_id AS unit, range.path, true AS member, range.pulp_created AS modified, file.size
  FROM range
  LEFT JOIN LATERAL (
       SELECT coalesce(a.size, r.size) AS size
         FROM content_artifact c
         LEFT JOIN artifact a ON a.pulp_id = c.artifact_id
         LEFT JOIN LATERAL (SELECT size FROM remote_artifact
                             WHERE content_artifact_id = c.pulp_id AND c.artifact_id IS NULL
                               AND size IS NOT NULL LIMIT 1) r ON true
        WHERE c.content_id = range.pulp_id LIMIT 1
  ) file ON true
 ORDER BY range.path USING ~<~, range.pulp_id
