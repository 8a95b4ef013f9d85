INSERT INTO role (pulp_id, name, description, permissions, locked)
SELECT pulp_id, name, description, permissions, true
  FROM jsonb_to_recordset($1) AS known (pulp_id uuid, name text, description text, permissions text[])
 ORDER BY name
    ON CONFLICT (name) DO NOTHING
