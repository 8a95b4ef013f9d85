CREATE OR REPLACE FUNCTION millrace_forget_assignments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM role_assignment a USING gone WHERE a.object_id = gone.pulp_id;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION millrace_forget_group_assignments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM role_assignment a USING gone WHERE a.object_id = gone.object_id;
    RETURN NULL;
END $$;
DROP FUNCTION millrace_forget_assignments_of;
