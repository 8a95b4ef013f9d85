DROP INDEX repository_content_key;
CREATE INDEX repository_content_key ON repository_content (repository_id, repo_key)
    WHERE repo_key IS NOT NULL;
DROP VIEW served;
DROP INDEX distribution_place;
ALTER TABLE published_artifact ALTER COLUMN relative_path TYPE text COLLATE "default";
DROP TRIGGER publication_place ON publication;
DROP FUNCTION millrace_place_publication;
ALTER TABLE publication DROP COLUMN repository_id, DROP COLUMN version_number;
