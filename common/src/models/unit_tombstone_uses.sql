-- $1 paths, $2 what is around each (null: nothing that goes with it), $3 and $4 which of them lies below which directory.
-- `0` follows `/`: what lies below a path sorts between the two. Each look goes through the index.
SELECT at.it IS NOT NULL OR above.it IS NOT NULL AS named, below.it IS NOT NULL AS holds_others,
       beside.it IS NOT NULL AS shares_others
  FROM unnest($1, $2) WITH ORDINALITY u (path, around, n)
  LEFT JOIN LATERAL (
    SELECT true AS it FROM unit_storage s
     WHERE left(s.place, 600) COLLATE "C" = left(u.path, 600) AND s.place = u.path LIMIT 1) at ON true
  LEFT JOIN LATERAL (
    SELECT true AS it FROM unnest($3, $4) d (n, path)
      JOIN unit_storage s ON left(s.place, 600) COLLATE "C" = left(d.path, 600) AND s.place = d.path
     WHERE d.n = u.n LIMIT 1) above ON true
  LEFT JOIN LATERAL (
    SELECT true AS it FROM unit_storage s
     WHERE left(s.place, 600) COLLATE "C" >= left(u.path || '/', 600)
       AND left(s.place, 600) COLLATE "C" <= left(u.path || '0', 600)
       AND starts_with(s.place, u.path || '/') LIMIT 1) below ON true
  LEFT JOIN LATERAL (
    SELECT true AS it FROM unit_storage s
     WHERE left(s.place, 600) COLLATE "C" >= left(u.around || '/', 600)
       AND left(s.place, 600) COLLATE "C" <= left(u.around || '0', 600)
       AND starts_with(s.place, u.around || '/') AND NOT starts_with(s.place, u.around || '/links/') LIMIT 1) beside ON true
 ORDER BY u.n
