-- Which units no repository has is told by indexes alone, in the order of their ids: without a look at the rows.
CREATE INDEX CONCURRENTLY IF NOT EXISTS content_kept ON content (pulp_id)
    INCLUDE (pulp_type, timestamp_of_interest, pulp_domain);
