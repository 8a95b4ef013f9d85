-- Tickets order the tasks of a lane. CACHE 1: a session that hoarded tickets would hand out old ones late.
CREATE SEQUENCE task_ticket CACHE 1;

CREATE TABLE task_group (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE CASCADE,
    description text NOT NULL,
    all_tasks_dispatched boolean NOT NULL DEFAULT false
);
CREATE INDEX task_group_domain ON task_group (pulp_domain);
CREATE INDEX task_group_created ON task_group (pulp_created DESC, pulp_id DESC);

CREATE TABLE group_progress_report (
    task_group uuid NOT NULL REFERENCES task_group ON DELETE CASCADE,
    code text NOT NULL,
    message text NOT NULL,
    total bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    suffix text,
    PRIMARY KEY (task_group, code)
);

CREATE TABLE task (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL,
    pulp_last_updated timestamptz NOT NULL,
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE CASCADE,
    ticket bigint NOT NULL,
    state text NOT NULL CHECK (state IN
        ('waiting', 'running', 'completed', 'failed', 'canceled', 'canceling', 'skipped')),
    name text NOT NULL,
    class text NOT NULL,
    logging_cid text NOT NULL,
    created_by integer REFERENCES account ON DELETE SET NULL,
    unblocked_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    error jsonb,
    result jsonb,
    -- Encrypted JSON object of the arguments by name; only the executor reads it.
    enc_args text NOT NULL,
    parent_task uuid REFERENCES task ON DELETE SET NULL,
    task_group uuid REFERENCES task_group ON DELETE SET NULL,
    -- Exclusive resources as they are, shared ones with the prefix "shared:".
    reserved_resources_record text[] NOT NULL,
    versions jsonb NOT NULL DEFAULT '{}',
    immediate boolean NOT NULL,
    deferred boolean NOT NULL,
    rerun_after_loss boolean NOT NULL,
    -- The fencing token of the present run; every write of the run shows it.
    claim_id uuid,
    worker_id uuid,
    -- A task that may not be deferred is canceled when nobody claimed it by then.
    claim_before timestamptz,
    -- Not announced before; set when a claim was refused or a run was handed back.
    not_before timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    -- Runs that ended because a living worker lost its database session.
    losses integer NOT NULL DEFAULT 0,
    -- Number of the present announcement: raised at every claim and every clearing, so that a late
    -- confirmation of an older one is not noted.
    announce_no integer NOT NULL DEFAULT 0,
    announced_at timestamptz,
    -- The janitor announces again from then on; the pause doubles.
    announce_after timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX task_created ON task (pulp_created DESC, pulp_id DESC);
CREATE INDEX task_state_created ON task (state, pulp_created DESC);
CREATE INDEX task_name_created ON task (name, pulp_created DESC);
CREATE INDEX task_cid ON task (logging_cid);
CREATE INDEX task_domain ON task (pulp_domain, pulp_created DESC);
CREATE INDEX task_finished ON task (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX task_parent ON task (parent_task) WHERE parent_task IS NOT NULL;
CREATE INDEX task_task_group ON task (task_group) WHERE task_group IS NOT NULL;
CREATE INDEX task_created_by ON task (created_by) WHERE created_by IS NOT NULL;
CREATE INDEX task_record ON task USING gin (reserved_resources_record);
CREATE INDEX task_held ON task (pulp_id) WHERE state IN ('running', 'canceling');
CREATE INDEX task_unannounced ON task (unblocked_at)
    WHERE state = 'waiting' AND unblocked_at IS NOT NULL AND announced_at IS NULL;
CREATE INDEX task_announced ON task (class, announced_at)
    WHERE state = 'waiting' AND announced_at IS NOT NULL;
CREATE INDEX task_claim_before ON task (claim_before)
    WHERE state = 'waiting' AND claim_before IS NOT NULL;

-- One row a resource of every incomplete task. `granted` is true for all rows of an unblocked task.
CREATE TABLE reservation (
    resource text NOT NULL,
    ticket bigint NOT NULL,
    task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE,
    exclusive boolean NOT NULL,
    granted boolean NOT NULL,
    PRIMARY KEY (resource, ticket)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX reservation_task ON reservation (task_id);
CREATE INDEX reservation_exclusive ON reservation (resource, ticket) WHERE exclusive;
CREATE INDEX reservation_waiting ON reservation (resource, ticket) WHERE NOT granted;
CREATE INDEX reservation_exclusive_waiting ON reservation (resource, ticket) WHERE exclusive AND NOT granted;

-- Where a promotion stopped because its transaction was full: any worker resumes it.
CREATE TABLE lane_continuation (
    resource text PRIMARY KEY,
    ticket bigint NOT NULL
);

-- For each work class, when the newest message that was claimed on its first delivery had been announced.
CREATE TABLE class_progress (
    class text PRIMARY KEY,
    claimed_announced_at timestamptz NOT NULL
);

CREATE TABLE progress_report (
    pulp_id uuid PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE,
    message text NOT NULL,
    code text NOT NULL,
    state text NOT NULL,
    total bigint,
    done bigint NOT NULL DEFAULT 0,
    suffix text
) WITH (fillfactor = 70);
CREATE INDEX progress_report_task ON progress_report (task_id);

-- What a task made, in order. No foreign key to the object: it may be deleted later.
CREATE TABLE created_resource (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE,
    prn text NOT NULL
);
CREATE INDEX created_resource_task ON created_resource (task_id);
CREATE INDEX created_resource_prn ON created_resource (prn);

-- A running process: `worker` or `api`. Its life is told by an advisory lock on its beat session.
CREATE TABLE app_status (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    app_type text NOT NULL CHECK (app_type IN ('api', 'content', 'worker')),
    name text NOT NULL,
    versions jsonb NOT NULL,
    ttl_seconds integer NOT NULL,
    last_heartbeat timestamptz NOT NULL DEFAULT clock_timestamp(),
    beat bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
CREATE INDEX app_status_heartbeat ON app_status (app_type, pulp_created DESC);

-- The database sessions of a worker, so that a hung worker can be cut off from them.
CREATE TABLE worker_session (
    worker_id uuid NOT NULL REFERENCES app_status ON DELETE CASCADE,
    pid integer NOT NULL,
    backend_start timestamptz NOT NULL,
    PRIMARY KEY (worker_id, pid)
);

-- The janitor of the fleet: one row. Whoever finds a pass due takes it.
CREATE TABLE janitor (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    last_pass timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_sweep timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Where the next page of lanes begins.
    sweep_after text NOT NULL DEFAULT '',
    -- Tasks that promotion had left behind and the sweep unblocked. Must stay zero.
    repairs bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO janitor DEFAULT VALUES;
