COMMENT ON COLUMN login_failure.username_hash IS NULL;
ALTER TABLE login_failure DROP COLUMN spared;
