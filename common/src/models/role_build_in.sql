-- What changes is noted, but for what the first migration of all makes.
WITH known AS (
    SELECT * FROM jsonb_to_recordset($1) AS k (pulp_id uuid, name text, description text, permissions text[])
), freed AS (
    UPDATE role SET locked = false, pulp_last_updated = clock_timestamp()
     WHERE locked AND name NOT IN (SELECT name FROM known)
    RETURNING name
), built AS (
    INSERT INTO role AS r (pulp_id, name, description, permissions, locked)
    SELECT pulp_id, name, description, permissions, true FROM known ORDER BY name
        ON CONFLICT (name) DO UPDATE
       SET description = excluded.description, permissions = excluded.permissions, locked = true,
           pulp_last_updated = clock_timestamp()
     WHERE (r.description, r.permissions, r.locked) IS DISTINCT FROM (excluded.description, excluded.permissions, true)
    RETURNING name, description, permissions
)
INSERT INTO audit_entry (action, object, details)
-- A statement sees the table as it was.
SELECT CASE WHEN EXISTS (SELECT FROM role o WHERE o.name = b.name) THEN 'role.update' ELSE 'role.create' END, b.name,
       jsonb_build_object('description', b.description, 'permissions', b.permissions, 'locked', true)
  FROM built b WHERE EXISTS (SELECT FROM account)
 UNION ALL
SELECT 'role.update', name, '{"locked": false}' FROM freed
