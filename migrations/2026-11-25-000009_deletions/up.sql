-- Memberships that no version holds, left by a deletion and removed bit by bit: those of the repository that were
-- added behind version `behind` and removed up to version `until`; `until` null: all, as the repository is
-- gone. No complete version lies between the two, and none ever will: numbers are not used again.
CREATE TABLE membership_debris (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    repository_id uuid NOT NULL,
    behind integer NOT NULL,
    until integer,
    -- How far the removal has come: in the order of (version_removed, content_id), or where `until` is null
    -- of (version_added, content_id).
    done_version integer NOT NULL DEFAULT -1,
    done_unit uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);

-- What was removed between two versions, a page at a time.
DROP INDEX repository_content_removed;
CREATE INDEX repository_content_removed ON repository_content
    (repository_id, version_removed, content_id, version_added) WHERE version_removed IS NOT NULL;

-- Deleting a repository, by whatever path, leaves its memberships as debris: a million of them are no
-- single write.
ALTER TABLE repository_content DROP CONSTRAINT repository_content_repository_id_fkey;

CREATE FUNCTION millrace_leave_debris() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO membership_debris (repository_id, behind) VALUES (OLD.pulp_id, -1);
    RETURN NULL;
END $$;

CREATE TRIGGER repository_debris AFTER DELETE ON repository
    FOR EACH ROW EXECUTE FUNCTION millrace_leave_debris();
