WITH known AS (
    SELECT * FROM jsonb_to_recordset($1) AS k (pulp_id uuid, name text, description text, permissions text[])
), freed AS (
    UPDATE role SET locked = false, pulp_last_updated = clock_timestamp()
     WHERE locked AND name NOT IN (SELECT name FROM known)
)
INSERT INTO role AS r (pulp_id, name, description, permissions, locked)
SELECT pulp_id, name, description, permissions, true FROM known ORDER BY name
    ON CONFLICT (name) DO UPDATE
   SET description = excluded.description, permissions = excluded.permissions, locked = true,
       pulp_last_updated = clock_timestamp()
 WHERE (r.description, r.permissions, r.locked) IS DISTINCT FROM (excluded.description, excluded.permissions, true)
