//! The tables, as the migrations make them. `tests/schema` compares this file with a migrated database.
//! Columns of a task that only SQL as text names are left out: a table of more than 32 columns makes Diesel take twice
//! as long to compile.
#![expect(missing_docs, reason = "the migrations document the tables")]

use diesel::{allow_tables_to_appear_in_same_query, joinable, table};

table! {
    domain (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        name -> Text,
    }
}

table! {
    account (id) {
        id -> Int4,
        username -> Text,
        password -> Text,
        is_superuser -> Bool,
        is_active -> Bool,
        date_joined -> Timestamptz,
        first_name -> Text,
        last_name -> Text,
        email -> Text,
        is_staff -> Bool,
        gone -> Bool,
    }
}

table! {
    account_group (id) {
        id -> Int4,
        name -> Text,
        object_id -> Uuid,
    }
}

table! {
    account_group_member (group_id, account_id) {
        group_id -> Int4,
        account_id -> Int4,
    }
}

table! {
    role (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        name -> Text,
        description -> Nullable<Text>,
        permissions -> Array<Text>,
        locked -> Bool,
    }
}

table! {
    role_assignment (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        role_id -> Uuid,
        account_id -> Nullable<Int4>,
        group_id -> Nullable<Int4>,
        pulp_domain -> Nullable<Uuid>,
        object_model -> Nullable<Text>,
        object_id -> Nullable<Uuid>,
    }
}

table! {
    permission_grant (pulp_id) {
        pulp_id -> Uuid,
        account_id -> Nullable<Int4>,
        role_id -> Nullable<Uuid>,
        resource -> Text,
        operation -> Text,
    }
}

table! {
    login_session (token_hash) {
        token_hash -> Bytea,
        account_id -> Int4,
        created -> Timestamptz,
        expires -> Timestamptz,
    }
}

table! {
    login_failure (username_hash) {
        username_hash -> Bytea,
        failures -> Int4,
        last -> Timestamptz,
        locked_until -> Nullable<Timestamptz>,
        spared -> Nullable<Timestamptz>,
    }
}

table! {
    audit_entry (id) {
        id -> Int8,
        at -> Timestamptz,
        actor -> Nullable<Text>,
        action -> Text,
        object -> Text,
        details -> Jsonb,
        logging_cid -> Text,
    }
}

table! {
    task_group (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        description -> Text,
        all_tasks_dispatched -> Bool,
    }
}

table! {
    group_progress_report (task_group, code) {
        task_group -> Uuid,
        code -> Text,
        message -> Text,
        total -> Int8,
        done -> Int8,
        suffix -> Nullable<Text>,
    }
}

// A view: the lanes in which somebody is.
table! {
    lane (resource) {
        resource -> Nullable<Text>,
        mode -> Nullable<Text>,
        holders -> Nullable<Int8>,
        waiting -> Nullable<Int8>,
        paused -> Nullable<Bool>,
        pause_reason -> Nullable<Text>,
    }
}

table! {
    pause (pulp_id) {
        pulp_id -> Uuid,
        kind -> Text,
        name -> Text,
        reason -> Text,
        paused_by -> Nullable<Text>,
        since -> Timestamptz,
    }
}

table! {
    task (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        state -> Text,
        name -> Text,
        class -> Text,
        logging_cid -> Text,
        created_by -> Nullable<Int4>,
        unblocked_at -> Nullable<Timestamptz>,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        error -> Nullable<Jsonb>,
        result -> Nullable<Jsonb>,
        parent_task -> Nullable<Uuid>,
        task_group -> Nullable<Uuid>,
        reserved_resources_record -> Array<Text>,
        versions -> Jsonb,
        immediate -> Bool,
        deferred -> Bool,
        worker_id -> Nullable<Uuid>,
        deadline -> Nullable<Timestamptz>,
    }
}

table! {
    reservation (resource, ticket) {
        resource -> Text,
        ticket -> Int8,
        task_id -> Uuid,
        exclusive -> Bool,
        granted -> Bool,
    }
}

table! {
    lane_continuation (resource) {
        resource -> Text,
        ticket -> Int8,
    }
}

table! {
    class_progress (class) {
        class -> Text,
        claimed_announced_at -> Timestamptz,
    }
}

table! {
    progress_report (pulp_id) {
        pulp_id -> Uuid,
        task_id -> Uuid,
        message -> Text,
        code -> Text,
        state -> Text,
        total -> Nullable<Int8>,
        done -> Int8,
        suffix -> Nullable<Text>,
    }
}

table! {
    created_resource (id) {
        id -> Int8,
        task_id -> Uuid,
        prn -> Text,
    }
}

table! {
    app_status (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        app_type -> Text,
        name -> Text,
        versions -> Jsonb,
        ttl_seconds -> Int4,
        last_heartbeat -> Timestamptz,
        beat -> Int8,
    }
}

table! {
    worker_session (worker_id, pid) {
        worker_id -> Uuid,
        pid -> Int4,
        backend_start -> Timestamptz,
    }
}

table! {
    janitor (id) {
        id -> Bool,
        last_pass -> Timestamptz,
        last_sweep -> Timestamptz,
        sweep_after -> Text,
        repairs -> Int8,
    }
}

table! {
    artifact (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        storage_key -> Text,
        size -> Int8,
        md5 -> Nullable<Text>,
        sha1 -> Nullable<Text>,
        sha224 -> Nullable<Text>,
        sha256 -> Text,
        sha384 -> Nullable<Text>,
        sha512 -> Nullable<Text>,
        timestamp_of_interest -> Timestamptz,
    }
}

table! {
    intent (storage_key) {
        storage_key -> Text,
        owner -> Uuid,
        created -> Timestamptz,
        multipart -> Nullable<Text>,
    }
}

table! {
    tombstone (storage_key) {
        storage_key -> Text,
        size -> Nullable<Int8>,
        buried -> Timestamptz,
        tries -> Int4,
        not_before -> Timestamptz,
        multipart -> Nullable<Text>,
        buried_by -> Nullable<Uuid>,
    }
}

table! {
    content (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        pulp_type -> Text,
        natural_key -> Bytea,
        repo_key -> Nullable<Bytea>,
        fields -> Jsonb,
        pulp_labels -> Jsonb,
        timestamp_of_interest -> Timestamptz,
        publication -> Nullable<Uuid>,
    }
}

table! {
    unit_storage (content_id) {
        content_id -> Uuid,
        path -> Text,
        place -> Text,
    }
}

table! {
    unit_tombstone (id) {
        id -> Int8,
        path -> Text,
        buried -> Timestamptz,
        buried_by -> Nullable<Uuid>,
        tries -> Int4,
        not_before -> Timestamptz,
    }
}

table! {
    content_artifact (pulp_id) {
        pulp_id -> Uuid,
        content_id -> Uuid,
        artifact_id -> Nullable<Uuid>,
        relative_path -> Text,
    }
}

table! {
    repository (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        pulp_type -> Text,
        name -> Text,
        description -> Nullable<Text>,
        pulp_labels -> Jsonb,
        next_version -> Int4,
        retain_repo_versions -> Nullable<Int4>,
        retain_checkpoints -> Nullable<Int4>,
        user_hidden -> Bool,
        autopublish -> Bool,
        manifest -> Nullable<Text>,
        last_sync_details -> Jsonb,
        part_of -> Nullable<Uuid>,
        remote -> Nullable<Uuid>,
    }
}

table! {
    task_tally (task_id, key) {
        task_id -> Uuid,
        key -> Text,
        value -> Int8,
    }
}

table! {
    task_use (object_id, task_id) {
        object_id -> Uuid,
        task_id -> Uuid,
    }
}

// A view: the uses of tasks that have not ended.
table! {
    used_object (object_id) {
        object_id -> Nullable<Uuid>,
    }
}

table! {
    repository_version (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        repository_id -> Uuid,
        number -> Int4,
        complete -> Bool,
        base_version -> Nullable<Uuid>,
        info -> Jsonb,
        claim_id -> Nullable<Uuid>,
    }
}

table! {
    repository_version_count (version_id, kind, pulp_type) {
        version_id -> Uuid,
        kind -> Text,
        pulp_type -> Text,
        count -> Int8,
    }
}

table! {
    repository_content (repository_id, content_id, version_added) {
        repository_id -> Uuid,
        content_id -> Uuid,
        version_added -> Int4,
        version_removed -> Nullable<Int4>,
        repo_key -> Nullable<Int8>,
    }
}

table! {
    remote (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        pulp_type -> Text,
        name -> Text,
        pulp_labels -> Jsonb,
        url -> Text,
        policy -> Text,
        ca_cert -> Nullable<Text>,
        client_cert -> Nullable<Text>,
        client_key -> Nullable<Text>,
        tls_validation -> Bool,
        username -> Nullable<Text>,
        password -> Nullable<Text>,
        proxy_url -> Nullable<Text>,
        proxy_username -> Nullable<Text>,
        proxy_password -> Nullable<Text>,
        headers -> Nullable<Jsonb>,
        download_concurrency -> Nullable<Int4>,
        max_retries -> Nullable<Int4>,
        rate_limit -> Nullable<Int4>,
        total_timeout -> Nullable<Float8>,
        connect_timeout -> Nullable<Float8>,
        sock_connect_timeout -> Nullable<Float8>,
        sock_read_timeout -> Nullable<Float8>,
    }
}

table! {
    remote_artifact (pulp_id) {
        pulp_id -> Uuid,
        content_artifact_id -> Uuid,
        remote_id -> Uuid,
        url -> Text,
        size -> Nullable<Int8>,
        md5 -> Nullable<Text>,
        sha1 -> Nullable<Text>,
        sha224 -> Nullable<Text>,
        sha256 -> Nullable<Text>,
        sha384 -> Nullable<Text>,
        sha512 -> Nullable<Text>,
        failed_at -> Nullable<Timestamptz>,
    }
}

table! {
    publication (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        pulp_type -> Text,
        repository_version_id -> Uuid,
        pass_through -> Bool,
        checkpoint -> Bool,
        manifest -> Nullable<Text>,
        repository_id -> Uuid,
        version_number -> Int4,
    }
}

table! {
    published_artifact (publication_id, relative_path) {
        publication_id -> Uuid,
        relative_path -> Text,
        content_artifact_id -> Uuid,
    }
}

table! {
    distribution (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        pulp_type -> Text,
        name -> Text,
        base_path -> Text,
        pulp_labels -> Jsonb,
        hidden -> Bool,
        publication_id -> Nullable<Uuid>,
        repository_version_id -> Nullable<Uuid>,
        repository_id -> Nullable<Uuid>,
        checkpoint -> Bool,
    }
}

// A view: what each distribution serves now.
table! {
    served (distribution_id) {
        distribution_id -> Nullable<Uuid>,
        pulp_domain -> Nullable<Uuid>,
        hidden -> Nullable<Bool>,
        place -> Nullable<Text>,
        publication_id -> Nullable<Uuid>,
        pass_through -> Nullable<Bool>,
        repository_id -> Nullable<Uuid>,
        version_number -> Nullable<Int4>,
    }
}

table! {
    upload (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        size -> Int8,
    }
}

table! {
    upload_chunk (upload_id, offset) {
        upload_id -> Uuid,
        offset -> Int8,
        size -> Int8,
        storage_key -> Text,
    }
}

table! {
    temporary_file (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_domain -> Uuid,
        storage_key -> Text,
        size -> Int8,
        sha256 -> Text,
        task_id -> Nullable<Uuid>,
    }
}

table! {
    export_staging (export_id) {
        export_id -> Uuid,
        task_id -> Uuid,
        path -> Bytea,
    }
}

table! {
    membership_debris (id) {
        id -> Int8,
        repository_id -> Uuid,
        behind -> Int4,
        until -> Nullable<Int4>,
        done_version -> Int4,
        done_unit -> Uuid,
    }
}

table! {
    version_kept (version_id, content_id) {
        version_id -> Uuid,
        content_id -> Uuid,
    }
}

table! {
    exporter (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        pulp_type -> Text,
        name -> Text,
        path -> Text,
        method -> Text,
    }
}

table! {
    export (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        exporter_id -> Uuid,
        task_id -> Nullable<Uuid>,
        params -> Jsonb,
        has_begun -> Bool,
    }
}

table! {
    exported_resource (export_id, prn) {
        export_id -> Uuid,
        prn -> Text,
    }
}

table! {
    task_schedule (pulp_id) {
        pulp_id -> Uuid,
        pulp_created -> Timestamptz,
        pulp_last_updated -> Timestamptz,
        pulp_domain -> Uuid,
        name -> Text,
        next_dispatch -> Nullable<Timestamptz>,
        dispatch_interval -> Nullable<Int8>,
        task_name -> Text,
        enc_args -> Text,
        deadline_seconds -> Nullable<Int4>,
        last_task -> Nullable<Uuid>,
        last_error -> Nullable<Text>,
        not_before -> Nullable<Timestamptz>,
        managed -> Bool,
    }
}

table! {
    idempotency_key (account_id, key) {
        account_id -> Int4,
        key -> Text,
        fingerprint -> Bytea,
        task_id -> Uuid,
        created -> Timestamptz,
    }
}

joinable!(account_group_member -> account_group (group_id));
joinable!(account_group_member -> account (account_id));
joinable!(role_assignment -> role (role_id));
joinable!(role_assignment -> account (account_id));
joinable!(role_assignment -> account_group (group_id));
joinable!(permission_grant -> account (account_id));
joinable!(permission_grant -> role (role_id));
joinable!(login_session -> account (account_id));
joinable!(task_group -> domain (pulp_domain));
joinable!(group_progress_report -> task_group (task_group));
joinable!(task -> domain (pulp_domain));
joinable!(task -> account (created_by));
joinable!(task -> task_group (task_group));
joinable!(reservation -> task (task_id));
joinable!(progress_report -> task (task_id));
joinable!(created_resource -> task (task_id));
joinable!(worker_session -> app_status (worker_id));
joinable!(artifact -> domain (pulp_domain));
joinable!(content -> domain (pulp_domain));
joinable!(content_artifact -> content (content_id));
joinable!(content_artifact -> artifact (artifact_id));
joinable!(repository -> domain (pulp_domain));
joinable!(repository_version -> repository (repository_id));
joinable!(repository_version_count -> repository_version (version_id));
joinable!(repository_content -> repository (repository_id));
joinable!(repository_content -> content (content_id));
joinable!(remote -> domain (pulp_domain));
joinable!(remote_artifact -> content_artifact (content_artifact_id));
joinable!(remote_artifact -> remote (remote_id));
joinable!(publication -> domain (pulp_domain));
joinable!(publication -> repository_version (repository_version_id));
joinable!(published_artifact -> publication (publication_id));
joinable!(published_artifact -> content_artifact (content_artifact_id));
joinable!(distribution -> domain (pulp_domain));
joinable!(distribution -> publication (publication_id));
joinable!(distribution -> repository (repository_id));
joinable!(upload -> domain (pulp_domain));
joinable!(upload_chunk -> upload (upload_id));
joinable!(temporary_file -> domain (pulp_domain));
joinable!(exporter -> domain (pulp_domain));
joinable!(export -> domain (pulp_domain));
joinable!(export -> exporter (exporter_id));
joinable!(export -> task (task_id));
joinable!(exported_resource -> export (export_id));
joinable!(task_schedule -> domain (pulp_domain));
joinable!(idempotency_key -> task (task_id));

allow_tables_to_appear_in_same_query!(
    domain,
    account,
    account_group,
    account_group_member,
    role,
    role_assignment,
    permission_grant,
    login_session,
    login_failure,
    audit_entry,
    task_group,
    group_progress_report,
    task,
    reservation,
    lane_continuation,
    class_progress,
    progress_report,
    created_resource,
    app_status,
    worker_session,
    janitor,
    artifact,
    intent,
    tombstone,
    content,
    unit_storage,
    unit_tombstone,
    content_artifact,
    repository,
    repository_version,
    repository_version_count,
    repository_content,
    task_tally,
    task_use,
    used_object,
    remote,
    remote_artifact,
    publication,
    published_artifact,
    distribution,
    served,
    upload,
    upload_chunk,
    temporary_file,
    version_kept,
    exporter,
    export,
    export_staging,
    exported_resource,
    task_schedule,
    pause,
    idempotency_key,
);
