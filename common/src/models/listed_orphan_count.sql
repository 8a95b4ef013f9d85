-- $1 domain, $2 moment.
SELECT c.pulp_type, count(*) AS units
  FROM content c
 WHERE c.pulp_domain = $1 AND c.timestamp_of_interest < $2 AND c.pulp_type <> 'core.publishedmetadata'
   AND NOT EXISTS (SELECT FROM repository_content m WHERE m.content_id = c.pulp_id)
   AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = c.pulp_id)
 GROUP BY c.pulp_type
