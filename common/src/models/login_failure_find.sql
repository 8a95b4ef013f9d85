SELECT bool_or(username_hash = $1) AS name_failed,
       max(extract(epoch FROM locked_until - clock_timestamp())::float8) FILTER (WHERE username_hash = $2) AS source_seconds,
       max(extract(epoch FROM locked_until - clock_timestamp())::float8) FILTER (WHERE username_hash = $1) AS name_seconds,
       max($3 - extract(epoch FROM clock_timestamp() - spared)::float8) FILTER (WHERE username_hash = $1) AS spare_seconds
  FROM login_failure WHERE username_hash IN ($1, $2)
