INSERT INTO login_failure AS f (username_hash, failures, locked_until)
VALUES ($1, 1, CASE WHEN $2 <= 1 THEN clock_timestamp() + make_interval(secs => $3) END)
    ON CONFLICT (username_hash) DO UPDATE
   SET failures = least(f.failures + 1, 1000000),
       last = clock_timestamp(),
       locked_until = CASE WHEN f.failures + 1 >= $2
           THEN clock_timestamp() + make_interval(secs => least($4, $3 * power(2, least(f.failures + 1 - $2, 40))))
           END
