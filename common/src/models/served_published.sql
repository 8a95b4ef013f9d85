-- $1 publication, $2 and $3 bounds of the paths, $4 how many. Its own files, in the order of bytes.
SELECT NULL::uuid AS unit, own.relative_path AS path, true AS member,
       coalesce(a.pulp_created, p.pulp_created) AS modified, a.size
  FROM published_artifact own
  JOIN publication p ON p.pulp_id = own.publication_id
  JOIN content_artifact c ON c.pulp_id = own.content_artifact_id
  LEFT JOIN artifact a ON a.pulp_id = c.artifact_id
 WHERE own.publication_id = $1 AND own.relative_path >= $2 COLLATE "C" AND own.relative_path < $3 COLLATE "C"
 ORDER BY own.relative_path LIMIT $4
