-- A stored file. The row says that the whole file is on disk at `storage_key`.
CREATE TABLE artifact (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    storage_key text NOT NULL UNIQUE,
    size bigint NOT NULL,
    md5 text,
    sha1 text,
    sha224 text,
    sha256 text NOT NULL,
    sha384 text,
    sha512 text,
    timestamp_of_interest timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (pulp_domain, sha256),
    UNIQUE (pulp_domain, sha384),
    UNIQUE (pulp_domain, sha512)
);
CREATE INDEX artifact_created ON artifact (pulp_created DESC, pulp_id DESC);
CREATE INDEX artifact_md5 ON artifact (md5) WHERE md5 IS NOT NULL;
CREATE INDEX artifact_sha1 ON artifact (sha1) WHERE sha1 IS NOT NULL;
CREATE INDEX artifact_sha224 ON artifact (sha224) WHERE sha224 IS NOT NULL;
CREATE INDEX artifact_interest ON artifact (timestamp_of_interest);

-- Written before the first byte of an upload, removed in the transaction that inserts the artifact.
CREATE TABLE intent (
    storage_key text PRIMARY KEY,
    owner uuid NOT NULL,
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX intent_owner ON intent (owner);

-- Files that no row needs any more and that are still to be removed from the store.
CREATE TABLE tombstone (
    storage_key text PRIMARY KEY,
    size bigint,
    buried timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries integer NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX tombstone_due ON tombstone (not_before);

-- Units of all types; a type definition says what `fields` holds and which of it is the natural key.
CREATE TABLE content (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    pulp_type text NOT NULL,
    -- SHA-256 over the natural key: unique in the domain.
    natural_key bytea NOT NULL,
    -- SHA-256 over what must be unique inside one repository version; null: nothing.
    repo_key bytea,
    fields jsonb NOT NULL,
    pulp_labels jsonb NOT NULL DEFAULT '{}',
    timestamp_of_interest timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (pulp_domain, pulp_type, natural_key)
);
CREATE INDEX content_created ON content (pulp_created DESC, pulp_id DESC);
CREATE INDEX content_type_created ON content (pulp_type, pulp_created DESC, pulp_id DESC);
CREATE INDEX content_interest ON content (timestamp_of_interest);
CREATE INDEX content_labels ON content USING gin (pulp_labels);
CREATE INDEX content_file_path ON content ((fields ->> 'relative_path') text_pattern_ops)
    WHERE pulp_type = 'file.file';
CREATE INDEX content_file_digest ON content ((fields ->> 'digest')) WHERE pulp_type = 'file.file';

CREATE TABLE content_artifact (
    pulp_id uuid PRIMARY KEY,
    content_id uuid NOT NULL REFERENCES content ON DELETE CASCADE,
    -- Null: not downloaded.
    artifact_id uuid REFERENCES artifact ON DELETE RESTRICT,
    relative_path text NOT NULL,
    UNIQUE (content_id, relative_path)
);
CREATE INDEX content_artifact_artifact ON content_artifact (artifact_id) WHERE artifact_id IS NOT NULL;

CREATE TABLE repository (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE RESTRICT,
    pulp_type text NOT NULL,
    name text NOT NULL,
    description text,
    pulp_labels jsonb NOT NULL DEFAULT '{}',
    -- Number of the next version; never reused.
    next_version integer NOT NULL DEFAULT 0,
    retain_repo_versions integer CHECK (retain_repo_versions >= 1),
    retain_checkpoints integer CHECK (retain_checkpoints >= 1),
    user_hidden boolean NOT NULL DEFAULT false,
    autopublish boolean NOT NULL DEFAULT false,
    manifest text DEFAULT 'PULP_MANIFEST',
    last_sync_details jsonb NOT NULL DEFAULT '{}',
    UNIQUE (pulp_domain, name)
);
CREATE INDEX repository_created ON repository (pulp_created DESC, pulp_id DESC);
CREATE INDEX repository_labels ON repository USING gin (pulp_labels);

CREATE TABLE repository_version (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    repository_id uuid NOT NULL REFERENCES repository ON DELETE CASCADE,
    number integer NOT NULL,
    complete boolean NOT NULL,
    base_version uuid REFERENCES repository_version ON DELETE SET NULL,
    info jsonb NOT NULL DEFAULT '{}',
    -- The run that is writing this version; null once it is complete.
    claim_id uuid,
    UNIQUE (repository_id, number)
);
CREATE INDEX repository_version_base ON repository_version (base_version) WHERE base_version IS NOT NULL;
CREATE INDEX repository_version_created ON repository_version (pulp_created DESC, pulp_id DESC);
CREATE INDEX repository_version_incomplete ON repository_version (repository_id) WHERE NOT complete;

-- Counts by type as they were when the version was completed, or a neighbour deleted.
CREATE TABLE repository_version_count (
    version_id uuid NOT NULL REFERENCES repository_version ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('added', 'present', 'removed')),
    pulp_type text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (version_id, kind, pulp_type)
);

-- The first 64 bits of a key: small enough for an index entry a membership. Equal keys have equal
-- hashes; whoever finds equal hashes compares the keys.
CREATE FUNCTION millrace_key_hash(key bytea) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ('x' || encode(substr(key, 1, 8), 'hex'))::bit(64)::bigint $$;

-- A unit is in version n when version_added <= n and (version_removed is null or version_removed > n).
-- The bounds are version numbers, not keys: deleting a version leaves the intervals of the others alone.
CREATE TABLE repository_content (
    repository_id uuid NOT NULL REFERENCES repository ON DELETE CASCADE,
    content_id uuid NOT NULL REFERENCES content ON DELETE RESTRICT,
    version_added integer NOT NULL,
    version_removed integer CHECK (version_removed > version_added),
    -- Hash of the unit's `repo_key`: finds what a new unit replaces without leaving the repository.
    repo_key bigint,
    PRIMARY KEY (repository_id, content_id, version_added)
);
CREATE INDEX repository_content_content ON repository_content (content_id);
CREATE INDEX repository_content_added ON repository_content (repository_id, version_added, content_id);
CREATE INDEX repository_content_removed ON repository_content (repository_id, version_removed)
    WHERE version_removed IS NOT NULL;
CREATE UNIQUE INDEX repository_content_present ON repository_content (repository_id, content_id)
    WHERE version_removed IS NULL;
CREATE INDEX repository_content_key ON repository_content (repository_id, repo_key)
    WHERE repo_key IS NOT NULL;
