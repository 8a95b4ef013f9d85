-- $1 paths. `0` follows `/`: what lies below a path sorts between the two. Each look goes through the index.
SELECT at.it IS NOT NULL AS named, below.it IS NOT NULL AS holds_others
  FROM unnest($1) WITH ORDINALITY u (path, n)
  LEFT JOIN LATERAL (
    SELECT true AS it FROM unit_storage s
     WHERE left(s.place, 600) COLLATE "C" = left(u.path, 600) AND s.place = u.path LIMIT 1) at ON true
  LEFT JOIN LATERAL (
    SELECT true AS it FROM unit_storage s
     WHERE left(s.place, 600) COLLATE "C" >= left(u.path || '/', 600)
       AND left(s.place, 600) COLLATE "C" <= left(u.path || '0', 600)
       AND starts_with(s.place, u.path || '/') LIMIT 1) below ON true
 ORDER BY u.n
