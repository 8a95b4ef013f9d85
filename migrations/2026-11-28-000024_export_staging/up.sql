-- Directories in which exports make their files, noted before they are made. One whose task has ended is
-- removed by the slow round. No key leads to the export or its task: they may be deleted before it. As many rows
-- as exports run.
CREATE TABLE export_staging (
    export_id uuid PRIMARY KEY,
    task_id uuid NOT NULL,
    -- The target, as bytes of the file system.
    path bytea NOT NULL
);
