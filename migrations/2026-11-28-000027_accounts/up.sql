-- What processes remember of an account ends everywhere at once: they listen. Told also what no program of ours did.
CREATE FUNCTION millrace_account_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('millrace_account', OLD.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER account_changed AFTER UPDATE OR DELETE ON account
    FOR EACH ROW EXECUTE FUNCTION millrace_account_changed();

CREATE INDEX account_joined ON account (date_joined DESC, id DESC);
-- Who else is an administrator.
CREATE INDEX account_admins ON account (id) WHERE is_superuser AND is_active;
CREATE INDEX role_assignment_created ON role_assignment (pulp_created DESC, pulp_id DESC);

CREATE INDEX audit_entry_actor ON audit_entry (actor, id DESC);
CREATE INDEX audit_entry_action ON audit_entry (action, id DESC);
CREATE INDEX audit_entry_object ON audit_entry (object, id DESC);
CREATE INDEX audit_entry_at ON audit_entry (at);

-- The same where a session ends before its time.
CREATE FUNCTION millrace_session_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('millrace_account', OLD.account_id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER session_ended AFTER DELETE ON login_session
    FOR EACH ROW WHEN (OLD.expires > clock_timestamp()) EXECUTE FUNCTION millrace_session_ended();
