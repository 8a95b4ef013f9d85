-- Where versions and publications are exported to, and how.
CREATE TABLE exporter (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    pulp_type text NOT NULL,
    name text NOT NULL,
    -- A directory of the workers' file system, as the client wrote it.
    path text NOT NULL,
    method text NOT NULL DEFAULT 'write' CHECK (method IN ('write', 'hardlink', 'symlink')),
    UNIQUE (pulp_domain, name)
);
CREATE INDEX exporter_created ON exporter (pulp_created DESC, pulp_id DESC);

-- A run of an exporter. Written before its first file, and kept when it fails.
CREATE TABLE export (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    exporter_id uuid NOT NULL REFERENCES exporter ON DELETE CASCADE,
    task_id uuid REFERENCES task ON DELETE SET NULL,
    params jsonb NOT NULL,
    -- True: its directory was empty before it, so that what lies there since is its own.
    has_begun boolean NOT NULL DEFAULT false,
    -- A further run of a task finds the row of the first.
    UNIQUE (task_id, exporter_id, params)
);
CREATE INDEX export_exporter ON export (exporter_id, pulp_created DESC, pulp_id DESC);
CREATE INDEX export_domain ON export (pulp_domain);

-- What was exported, by name: it may be deleted since.
CREATE TABLE exported_resource (
    export_id uuid NOT NULL REFERENCES export ON DELETE CASCADE,
    prn text NOT NULL,
    PRIMARY KEY (export_id, prn)
);
