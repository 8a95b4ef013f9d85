-- The next orphans, in the order of ids behind $3, as `Orphans::lock` finds them: $1 domain, $2 a moment, $4 how many, $5 their
-- type or null. The fences (`OFFSET 0`) keep to looks by index for each unit, so that one after the other is found where nothing
-- may be sorted.
SELECT c.pulp_id FROM content c
 WHERE c.pulp_domain = $1 AND c.timestamp_of_interest < $2 AND c.pulp_id > $3
   AND c.pulp_type <> 'core.publishedmetadata' AND ($5::text IS NULL OR c.pulp_type = $5)
   AND NOT EXISTS (SELECT FROM repository_content m WHERE m.content_id = c.pulp_id OFFSET 0)
   AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = c.pulp_id OFFSET 0)
 ORDER BY c.pulp_id LIMIT $4 FOR UPDATE SKIP LOCKED
