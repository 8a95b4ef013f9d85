INSERT INTO login_failure AS f (username_hash, failures, locked_until)
SELECT g.key, 1, CASE WHEN $2 <= 1 THEN clock_timestamp() + make_interval(secs => $3) END
  FROM unnest($1) g (key) ORDER BY g.key
    ON CONFLICT (username_hash) DO UPDATE
   SET (failures, last, locked_until) = (
       SELECT n.failures, clock_timestamp(), CASE WHEN n.failures >= $2
              THEN clock_timestamp() + make_interval(secs => least($4, $3 * power(2, n.failures - $2))) END
         -- Half of them are forgotten each time that nobody guessed for as long as a lock lasts at most.
         FROM (SELECT least(1 + (f.failures >> least(30, greatest(0, floor(extract(epoch FROM
                      clock_timestamp() - greatest(f.last, f.locked_until)) / $4)))::integer), $2 + 40)
              ) n (failures))
