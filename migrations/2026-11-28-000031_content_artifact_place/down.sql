DROP INDEX CONCURRENTLY IF EXISTS content_artifact_place;
