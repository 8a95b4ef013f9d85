EXISTS (SELECT FROM served s
          JOIN repository_content m ON m.repository_id = s.repository_id AND m.version_added <= s.version_number
           AND (m.version_removed IS NULL OR m.version_removed > s.version_number)
         WHERE s.distribution_id = distribution.pulp_id
           AND m.content_id = 