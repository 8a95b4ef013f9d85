EXISTS (SELECT FROM repository_version v
          JOIN repository_content m ON m.repository_id = v.repository_id AND m.version_added <= v.number
           AND (m.version_removed IS NULL OR m.version_removed > v.number)
         WHERE v.complete
           AND v.pulp_id = coalesce(
                 (SELECT p.repository_version_id FROM publication p WHERE p.pulp_id = distribution.publication_id),
                 distribution.repository_version_id,
                 (SELECT n.pulp_id FROM repository_version n
                   WHERE n.repository_id = distribution.repository_id AND n.complete
                     AND EXISTS (SELECT FROM publication p WHERE p.repository_version_id = n.pulp_id)
                   ORDER BY n.number DESC LIMIT 1))
           AND m.content_id = 
