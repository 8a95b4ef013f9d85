-- $1 repository, $2 number of a version, $3 and $4 bounds of the paths, $5 the last unit of the path $3
-- that was seen, $6 how many. All units of these paths, the order of bytes, with what the version has.
WITH range AS MATERIALIZED (
    SELECT pulp_id, pulp_created, fields ->> 'relative_path' AS path
      FROM content
     WHERE pulp_type = 'file.file'
       AND (fields ->> 'relative_path') ~>=~ $3 AND (fields ->> 'relative_path') ~<~ $4
       AND ((fields ->> 'relative_path') ~>~ $3 OR pulp_id > $5)
     ORDER BY (fields ->> 'relative_path') USING ~<~, pulp_id
     LIMIT $6
)
SELECT range.pulp_id AS unit, range.path, member.here IS NOT NULL AS member,
       range.pulp_created AS modified, file.size
  FROM range
  LEFT JOIN LATERAL (
       SELECT true AS here FROM repository_content m
        WHERE m.repository_id = $1 AND m.content_id = range.pulp_id
          AND m.version_added <= $2 AND (m.version_removed IS NULL OR m.version_removed > $2) LIMIT 1
  ) member ON true
  LEFT JOIN LATERAL (
       SELECT coalesce(a.size, r.size) AS size
         FROM content_artifact c
         LEFT JOIN artifact a ON a.pulp_id = c.artifact_id
         LEFT JOIN LATERAL (SELECT size FROM remote_artifact
                             WHERE content_artifact_id = c.pulp_id AND c.artifact_id IS NULL
                               AND size IS NOT NULL LIMIT 1) r ON true
        WHERE member.here AND c.content_id = range.pulp_id LIMIT 1
  ) file ON true
 ORDER BY range.path USING ~<~, range.pulp_id
