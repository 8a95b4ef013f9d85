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
(SELECT coalesce(
          (SELECT p.repository_version_id FROM publication p WHERE p.pulp_id = s.publication_id),
          (SELECT v.pulp_id FROM repository_version v
            WHERE v.repository_id = $1 AND v.complete ORDER BY v.number DESC LIMIT 1))
   FROM distribution d JOIN served s ON s.distribution_id = d.pulp_id
  WHERE d.repository_id = $1 AND NOT d.checkpoint LIMIT 1)
