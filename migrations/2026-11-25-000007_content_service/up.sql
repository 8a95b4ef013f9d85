-- Where content comes from. Credentials are tokens of the keyring, each on its own: that one is set can be
-- told without the key.
CREATE TABLE remote (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    pulp_type text NOT NULL,
    name text NOT NULL,
    pulp_labels jsonb NOT NULL DEFAULT '{}',
    url text NOT NULL,
    policy text NOT NULL DEFAULT 'immediate' CHECK (policy IN ('immediate', 'on_demand', 'streamed')),
    ca_cert text,
    client_cert text,
    client_key text,
    tls_validation boolean NOT NULL DEFAULT true,
    username text,
    password text,
    proxy_url text,
    proxy_username text,
    proxy_password text,
    headers jsonb,
    download_concurrency integer CHECK (download_concurrency >= 1),
    max_retries integer CHECK (max_retries >= 0),
    rate_limit integer CHECK (rate_limit >= 1),
    total_timeout double precision CHECK (total_timeout >= 0),
    connect_timeout double precision CHECK (connect_timeout >= 0),
    sock_connect_timeout double precision CHECK (sock_connect_timeout >= 0),
    sock_read_timeout double precision CHECK (sock_read_timeout >= 0),
    UNIQUE (pulp_domain, name)
);
CREATE INDEX remote_created ON remote (pulp_created DESC, pulp_id DESC);
CREATE INDEX remote_updated ON remote (pulp_last_updated);
CREATE INDEX remote_labels ON remote USING gin (pulp_labels);

ALTER TABLE repository ADD COLUMN remote uuid REFERENCES remote ON DELETE SET NULL;
CREATE INDEX repository_remote ON repository (remote) WHERE remote IS NOT NULL;

-- Where a file of a unit can be fetched, and what it must be then.
CREATE TABLE remote_artifact (
    pulp_id uuid PRIMARY KEY,
    content_artifact_id uuid NOT NULL REFERENCES content_artifact ON DELETE CASCADE,
    remote_id uuid NOT NULL REFERENCES remote ON DELETE CASCADE,
    url text NOT NULL,
    size bigint,
    md5 text,
    sha1 text,
    sha224 text,
    sha256 text,
    sha384 text,
    sha512 text,
    -- The last fetch that failed: left alone for a while after it.
    failed_at timestamptz,
    UNIQUE (content_artifact_id, remote_id)
);
CREATE INDEX remote_artifact_remote ON remote_artifact (remote_id);

-- A version made ready to be served. Written whole, in the transaction that settles its task.
CREATE TABLE publication (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    pulp_type text NOT NULL,
    repository_version_id uuid NOT NULL REFERENCES repository_version ON DELETE CASCADE,
    -- True: every file of the version is served under its own path, without rows.
    pass_through boolean NOT NULL,
    checkpoint boolean NOT NULL DEFAULT false,
    manifest text
);
CREATE INDEX publication_created ON publication (pulp_created DESC, pulp_id DESC);
CREATE INDEX publication_version ON publication (repository_version_id, pulp_created DESC);

-- Metadata of a publication is content that goes with it.
ALTER TABLE content ADD COLUMN publication uuid REFERENCES publication ON DELETE CASCADE;
CREATE INDEX content_publication ON content (publication) WHERE publication IS NOT NULL;

CREATE TABLE published_artifact (
    publication_id uuid NOT NULL REFERENCES publication ON DELETE CASCADE,
    relative_path text NOT NULL,
    content_artifact_id uuid NOT NULL REFERENCES content_artifact ON DELETE CASCADE,
    PRIMARY KEY (publication_id, relative_path)
);
CREATE INDEX published_artifact_file ON published_artifact (content_artifact_id);

-- What is served where. No base path lies below another one; whoever writes one holds the lane
-- `pdrn:<domain>:distribution.base_path`.
CREATE TABLE distribution (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    pulp_type text NOT NULL,
    name text NOT NULL,
    base_path text NOT NULL,
    pulp_labels jsonb NOT NULL DEFAULT '{}',
    hidden boolean NOT NULL DEFAULT false,
    publication_id uuid REFERENCES publication ON DELETE SET NULL,
    repository_version_id uuid REFERENCES repository_version ON DELETE SET NULL,
    repository_id uuid REFERENCES repository ON DELETE SET NULL,
    checkpoint boolean NOT NULL DEFAULT false,
    UNIQUE (pulp_domain, name),
    CHECK (num_nonnulls(publication_id, repository_version_id, repository_id) <= 1)
);
CREATE UNIQUE INDEX distribution_base_path ON distribution (pulp_domain, base_path COLLATE "C");
CREATE INDEX distribution_created ON distribution (pulp_created DESC, pulp_id DESC);
CREATE INDEX distribution_labels ON distribution USING gin (pulp_labels);
CREATE INDEX distribution_publication ON distribution (publication_id) WHERE publication_id IS NOT NULL;
CREATE INDEX distribution_version ON distribution (repository_version_id)
    WHERE repository_version_id IS NOT NULL;
CREATE INDEX distribution_repository ON distribution (repository_id) WHERE repository_id IS NOT NULL;

-- A file that comes in pieces. Whoever deletes an upload buries the files of its chunks.
CREATE TABLE upload (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    size bigint NOT NULL CHECK (size >= 0)
);
CREATE INDEX upload_created ON upload (pulp_created DESC, pulp_id DESC);

CREATE TABLE upload_chunk (
    upload_id uuid NOT NULL REFERENCES upload ON DELETE RESTRICT,
    "offset" bigint NOT NULL CHECK ("offset" >= 0),
    size bigint NOT NULL CHECK (size >= 0),
    storage_key text NOT NULL UNIQUE,
    PRIMARY KEY (upload_id, "offset")
);

-- A file that a task is going to take over. Whoever deletes one buries its file.
CREATE TABLE temporary_file (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    storage_key text NOT NULL UNIQUE,
    size bigint NOT NULL,
    sha256 text NOT NULL
);
CREATE INDEX temporary_file_created ON temporary_file (pulp_created);

-- The units that a version that is being written shall keep: what a mirror does not name goes. Notes of
-- a run, so they need not outlive the server.
CREATE UNLOGGED TABLE version_kept (
    version_id uuid NOT NULL REFERENCES repository_version ON DELETE CASCADE,
    content_id uuid NOT NULL,
    PRIMARY KEY (version_id, content_id)
);
