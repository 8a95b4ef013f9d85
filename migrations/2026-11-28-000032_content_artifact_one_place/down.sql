ALTER TABLE content_artifact ADD UNIQUE (content_id, relative_path);
