-- The next orphans, in the order of ids behind $3: $1 domain, $2 a moment, $4 how many. As `orphans_lock.sql`.
SELECT a.pulp_id FROM artifact a
 WHERE a.pulp_domain = $1 AND a.timestamp_of_interest < $2 AND a.pulp_id > $3
   AND NOT EXISTS (SELECT FROM content_artifact ca WHERE ca.artifact_id = a.pulp_id OFFSET 0)
   AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = a.pulp_id OFFSET 0)
 ORDER BY a.pulp_id LIMIT $4 FOR UPDATE SKIP LOCKED
