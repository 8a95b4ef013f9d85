-- The neighbours at both sides, and the first piece, which may be the whole file: one index entry each.
SELECT "offset" AS start, "offset" + size AS "end" FROM (
    (SELECT "offset", size FROM upload_chunk
      WHERE upload_id = $1 AND "offset" < $2 ORDER BY "offset" DESC LIMIT 1)
    UNION ALL
    (SELECT "offset", size FROM upload_chunk
      WHERE upload_id = $1 AND "offset" > $2 ORDER BY "offset" LIMIT 1)
    UNION ALL
    (SELECT "offset", size FROM upload_chunk WHERE upload_id = $1 AND "offset" = 0 AND $2 > 0)
) AS near
 WHERE "offset" < $3 AND "offset" + size > $2
 LIMIT 1
