DROP TRIGGER repository_debris ON repository;
DROP FUNCTION millrace_leave_debris();
DELETE FROM repository_content m WHERE NOT EXISTS (SELECT FROM repository r WHERE r.pulp_id = m.repository_id);
ALTER TABLE repository_content ADD CONSTRAINT repository_content_repository_id_fkey
    FOREIGN KEY (repository_id) REFERENCES repository ON DELETE CASCADE;
DROP INDEX repository_content_removed;
CREATE INDEX repository_content_removed ON repository_content (repository_id, version_removed)
    WHERE version_removed IS NOT NULL;
DROP TABLE membership_debris;
