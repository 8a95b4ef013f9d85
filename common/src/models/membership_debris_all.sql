-- A page of what a deleted repository left, in the order of an index.
-- $1 repository, $2 and $3 the last row that was seen, $4 how many.
WITH page AS (
    SELECT ctid, version_added, content_id
      FROM repository_content
     WHERE repository_id = $1 AND (version_added, content_id) > ($2, $3)
     ORDER BY version_added, content_id LIMIT $4
), gone AS (
    DELETE FROM repository_content m USING page WHERE m.ctid = page.ctid
)
SELECT count(*) OVER () AS seen, version_added AS version, content_id
  FROM page ORDER BY version_added DESC, content_id DESC LIMIT 1
