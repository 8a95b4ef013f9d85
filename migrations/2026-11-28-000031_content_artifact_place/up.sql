-- Takes the place of the constraint: which artifact a unit has is told without a look at the row.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS content_artifact_place ON content_artifact (content_id, relative_path)
    INCLUDE (artifact_id);
