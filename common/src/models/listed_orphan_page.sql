-- $1 domain, $2 type, $3 moment, $4 and $5 the last unit that was seen, $6 units to look at, $7 bytes. A unit that has
-- more bytes comes alone. Without a unit in the page there is no row, without an orphan in it one that is empty.
WITH page AS MATERIALIZED (
    SELECT c.pulp_id, c.pulp_created, c.pulp_last_updated, c.timestamp_of_interest, c.fields
      FROM content c
     WHERE c.pulp_domain = $1 AND c.pulp_type = $2 AND (c.pulp_created, c.pulp_id) > ($4, $5)
     ORDER BY c.pulp_created, c.pulp_id LIMIT $6),
found AS MATERIALIZED (
    SELECT p.*, sum(octet_length(p.fields::text)) OVER (
               ORDER BY p.pulp_created, p.pulp_id
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM page p
     WHERE p.timestamp_of_interest < $3
       AND NOT EXISTS (SELECT FROM repository_content m WHERE m.content_id = p.pulp_id)
       AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = p.pulp_id)),
taken AS MATERIALIZED (SELECT * FROM found WHERE coalesce(before, 0) < $7),
last AS (
    SELECT edge.pulp_created AS last_created, edge.pulp_id AS last_id FROM (
        SELECT pulp_created, pulp_id, 0 AS place FROM taken
         WHERE (SELECT count(*) FROM taken) < (SELECT count(*) FROM found)
        UNION ALL
        SELECT pulp_created, pulp_id, 1 FROM page
    ) edge ORDER BY edge.place, edge.pulp_created DESC, edge.pulp_id DESC LIMIT 1)
SELECT last.last_created, last.last_id, (SELECT count(*) FROM found) AS found, t.pulp_id, t.pulp_last_updated, t.fields,
       file.storage_key, file.size, stored.path
  FROM last
  LEFT JOIN taken t ON true
  LEFT JOIN LATERAL (
       SELECT a.storage_key, a.size FROM content_artifact ca JOIN artifact a ON a.pulp_id = ca.artifact_id
        WHERE ca.content_id = t.pulp_id ORDER BY ca.relative_path LIMIT 1
  ) file ON true
  LEFT JOIN unit_storage stored ON stored.content_id = t.pulp_id
 ORDER BY t.pulp_created, t.pulp_id
