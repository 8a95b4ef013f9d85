-- One index probe a class, however many tasks wait.
WITH RECURSIVE found(class) AS (
    (SELECT class FROM task WHERE state = 'waiting' AND announced_at IS NOT NULL ORDER BY class LIMIT 1)
    UNION ALL
    SELECT (SELECT t.class FROM task t WHERE t.state = 'waiting' AND t.announced_at IS NOT NULL
               AND t.class > found.class ORDER BY t.class LIMIT 1)
      FROM found WHERE found.class IS NOT NULL)
SELECT class FROM found WHERE class IS NOT NULL
