-- Versions of a repository that serve content (contract 1.7).
SELECT v.pulp_id AS id
  FROM distribution d JOIN repository_version v ON v.pulp_id = d.repository_version_id
 WHERE v.repository_id = $1
UNION
SELECT v.pulp_id
  FROM distribution d JOIN publication p ON p.pulp_id = d.publication_id
  JOIN repository_version v ON v.pulp_id = p.repository_version_id
 WHERE v.repository_id = $1
UNION
SELECT v.pulp_id
  FROM repository_version v JOIN publication p ON p.repository_version_id = v.pulp_id
 WHERE v.repository_id = $1 AND p.checkpoint
   AND EXISTS (SELECT FROM distribution d WHERE d.repository_id = $1 AND d.checkpoint)
UNION
SELECT coalesce(
         (SELECT v.pulp_id FROM repository_version v
           WHERE v.repository_id = $1 AND v.complete
             AND EXISTS (SELECT FROM publication p WHERE p.repository_version_id = v.pulp_id)
           ORDER BY v.number DESC LIMIT 1),
         (SELECT v.pulp_id FROM repository_version v
           WHERE v.repository_id = $1 AND v.complete ORDER BY v.number DESC LIMIT 1))
 WHERE EXISTS (SELECT FROM distribution d WHERE d.repository_id = $1 AND NOT d.checkpoint)
