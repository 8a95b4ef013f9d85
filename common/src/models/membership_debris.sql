-- A page of what was removed between two versions, in the order of an index; what the first of them holds
-- stays. So the units that both hold are never read. A unit is removed once in a version, so two columns
-- are enough to go on behind a row.
-- $1 repository, $2 and $3 the last row that was seen, $4 how many, $5 and $6 the two versions.
WITH page AS (
    SELECT ctid, version_removed, content_id, version_added > $5 AS goes
      FROM repository_content
     WHERE repository_id = $1 AND (version_removed, content_id) > ($2, $3)
       AND version_removed > $5 AND version_removed <= $6
     ORDER BY version_removed, content_id LIMIT $4
), gone AS (
    DELETE FROM repository_content m USING page WHERE m.ctid = page.ctid AND page.goes
)
SELECT count(*) OVER () AS seen, version_removed AS version, content_id
  FROM page ORDER BY version_removed DESC, content_id DESC LIMIT 1
