ALTER TABLE login_failure ADD COLUMN spared timestamptz;
COMMENT ON COLUMN login_failure.username_hash IS 'SHA-256 of the name; or of the name and an address that a wrong password came from';
COMMENT ON COLUMN login_failure.spared IS 'when a password was last looked at although the name was locked';
