-- An empty piece at the end of the upload, so that what is missing there is found like the rest.
WITH piece AS (
    SELECT "offset" AS start, "offset" + size AS stop FROM upload_chunk WHERE upload_id = $1
    UNION ALL SELECT $2, $2
)
SELECT start, "end" FROM (
    SELECT lag(stop, 1, 0::bigint) OVER (ORDER BY start, stop) AS start, start AS "end" FROM piece
) AS between_pieces
 WHERE start < "end" ORDER BY start LIMIT $3
