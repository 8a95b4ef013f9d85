-- Memberships are found by the unit: with statistics that know one version only, its number would seem to find as little
-- as no index at all.
SELECT m.removed, c.pulp_type, count(*)
  FROM unnest($3) u (id)
 CROSS JOIN LATERAL (SELECT m.version_added <> $2 AS removed FROM repository_content m
                      WHERE m.repository_id = $1 AND m.content_id = u.id
                        AND (m.version_added = $2 OR m.version_removed = $2) LIMIT 1) m
 CROSS JOIN LATERAL (SELECT c.pulp_type FROM content c WHERE c.pulp_id = u.id LIMIT 1) c
 GROUP BY 1, 2
