//! What is killed: rows and files made by SQL, the call, and what must be the same in the end.

use futures_util::future::BoxFuture;
use millrace_tests::TestApp;
use millrace_tests::app::files_below;
use serde_json::{Value, json};

pub struct Case {
    pub name: &'static str,
    /// Makes what the task works on; gives the call that dispatches it.
    pub prepare: for<'a> fn(&'a TestApp) -> BoxFuture<'a, Value>,
    /// Queries of one text column, whose rows must be the same.
    pub same: &'static [&'static str],
}

/// What must be the same in the end, ids left out.
pub async fn snapshot(app: &TestApp, task: &Value, case: &Case) -> Value {
    let mut rows = Vec::new();
    for query in case.same {
        rows.push(app.sql.texts(query).await);
    }
    let reports = task["progress_reports"].as_array().unwrap();
    let reports: Vec<Value> = reports
        .iter()
        .map(|r| json!([r["code"], r["state"], r["total"], r["done"], r["suffix"]]))
        .collect();
    let created = task["created_resources"].as_array().unwrap().len();
    // Beside these lies what a worker tries the store with while it starts.
    let stored = app.media().join("artifact");
    let files = files_below(&stored).len() + files_below(&app.pulp_storage()).len();
    let left = "SELECT relation FROM (VALUES ('tombstone'), ('intent'), ('temporary_file')) t (relation) \
                 WHERE (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ' || relation, true, true, '')))[1]::text <> '0'";
    json!({
        "result": task["result"], "created": created, "reports": reports, "rows": rows, "files": files,
        "left": app.sql.texts(left).await,
    })
}

/// Units `u1` to `u<n>` with a file each, and as many artifacts without a unit as there are hundreds.
async fn units(app: &TestApp, count: usize) {
    app.sql
        .run(&format!(
            "INSERT INTO artifact (pulp_id, pulp_domain, storage_key, size, sha256) \
             SELECT millrace_test_id(1, n), d.pulp_id, 'artifact/00/' || n, 4, encode(sha256(n::text::bytea), 'hex') \
               FROM generate_series(1, {count} + {count} / 100) n, domain d; \
             INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields) \
             SELECT millrace_test_id(2, n), d.pulp_id, 'file.file', sha256(('n' || n)::bytea), sha256(('u' || n)::bytea), \
                    jsonb_build_object('relative_path', 'u' || n, 'digest', encode(sha256(n::text::bytea), 'hex')) \
               FROM generate_series(1, {count}) n, domain d; \
             INSERT INTO content_artifact (pulp_id, content_id, artifact_id, relative_path) \
             SELECT millrace_test_id(3, n), millrace_test_id(2, n), millrace_test_id(1, n), 'u' || n \
               FROM generate_series(1, {count}) n"
        ))
        .await;
    let folder = app.media().join("artifact/00");
    std::fs::create_dir_all(&folder).unwrap();
    for n in 1..=count + count / 100 {
        std::fs::write(folder.join(n.to_string()), "file").unwrap();
    }
}

async fn ids(app: &TestApp) {
    app.sql
        .run(
            "CREATE FUNCTION millrace_test_id(kind integer, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ \
             SELECT ('0199e6a0-0000-7000-80' || lpad(to_hex(kind), 2, '0') || '-' || lpad(to_hex(n), 12, '0'))::uuid $$",
        )
        .await;
}

/// Puts the first units into a repository; gives it.
async fn repository(app: &TestApp, name: &str, first: usize, last: usize) -> Value {
    let made = app.repository(name).await;
    app.sql
        .run(&format!(
            "INSERT INTO repository_version (pulp_id, repository_id, number, complete) \
             SELECT gen_random_uuid(), pulp_id, 1, true FROM repository WHERE name = '{name}'; \
             UPDATE repository SET next_version = 2 WHERE name = '{name}'; \
             INSERT INTO repository_content (repository_id, content_id, version_added, repo_key) \
             SELECT r.pulp_id, c.pulp_id, 1, millrace_key_hash(c.repo_key) FROM repository r, generate_series({first}, {last}) n \
               JOIN content c ON c.pulp_id = millrace_test_id(2, n) WHERE r.name = '{name}'"
        ))
        .await;
    made
}

const CONTENT: &str = "SELECT fields ->> 'relative_path' FROM content ORDER BY 1";
const ARTIFACTS: &str = "SELECT storage_key FROM artifact ORDER BY 1";

pub fn orphan_clean_up() -> Case {
    Case {
        name: "orphan clean-up",
        prepare: |app| {
            Box::pin(async move {
                ids(app).await;
                units(app, 6000).await;
                repository(app, "kept", 1, 100).await;
                json!({"name": "pulpcore.app.tasks.orphan.orphan_cleanup"})
            })
        },
        same: &[CONTENT, ARTIFACTS],
    }
}

/// Units of two types, of which one comes from a Pulp 2: with a file each, and two of each with the same directory.
pub fn orphan_removal() -> Case {
    Case {
        name: "orphan removal",
        prepare: |app| {
            Box::pin(async move {
                ids(app).await;
                units(app, 3000).await;
                repository(app, "kept", 1, 100).await;
                let content = app.pulp_storage().join("content");
                let root = content.to_str().unwrap();
                app.sql
                    .run(&format!(
                        "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, fields) \
                         SELECT millrace_test_id(4, n), d.pulp_id, 'pulp2.erratum', sha256(('n' || n)::bytea), \
                                jsonb_build_object('errata_id', n::text) FROM generate_series(1, 6000) n, domain d; \
                         INSERT INTO unit_storage (content_id, path) \
                         SELECT millrace_test_id(4, n), '{root}/t/' || n / 100 || '/' || n / 2 FROM generate_series(1, 6000) n"
                    ))
                    .await;
                for n in 1..=6000 {
                    let directory = content.join(format!("t/{}/{}", n / 100, n / 2));
                    std::fs::create_dir_all(&directory).unwrap();
                    std::fs::write(directory.join(n.to_string()), "file").unwrap();
                }
                json!({"name": "pulp.server.managers.content.orphan.delete_all_orphans"})
            })
        },
        same: &[CONTENT, ARTIFACTS, "SELECT path FROM unit_storage"],
    }
}

pub fn reclaim() -> Case {
    Case {
        name: "reclaim",
        prepare: |app| {
            Box::pin(async move {
                ids(app).await;
                units(app, 6000).await;
                let all = repository(app, "all", 1, 6000).await;
                repository(app, "some", 1, 100).await;
                let id = all["prn"].as_str().unwrap().rsplit(':').next().unwrap();
                json!({"name": "pulpcore.app.tasks.reclaim_space.reclaim_space", "args": [[id]],
                       "kwargs": {"force": true}, "shared_resources": [all["pulp_href"]]})
            })
        },
        same: &[
            CONTENT,
            ARTIFACTS,
            "SELECT relative_path FROM content_artifact WHERE artifact_id IS NOT NULL ORDER BY 1",
        ],
    }
}

pub fn add_and_remove() -> Case {
    Case {
        name: "add and remove",
        prepare: |app| {
            Box::pin(async move {
                ids(app).await;
                units(app, 8000).await;
                let zoo = repository(app, "zoo", 1, 4000).await;
                let id = zoo["prn"].as_str().unwrap().rsplit(':').next().unwrap();
                let of = |from: u64, to: u64| -> Vec<String> {
                    (from..=to)
                        .map(|n| format!("0199e6a0-0000-7000-8002-{n:012x}"))
                        .collect()
                };
                json!({"name": "pulpcore.app.tasks.repository.add_and_remove",
                       "args": [id, of(4001, 8000), of(1, 2000)]})
            })
        },
        same: &[
            "SELECT number || ' ' || complete FROM repository_version ORDER BY 1",
            "SELECT c.fields ->> 'relative_path' || ' ' || version_added || ' ' || coalesce(version_removed::text, '') \
               FROM repository_content m JOIN content c ON c.pulp_id = m.content_id ORDER BY 1",
            "SELECT kind || ' ' || count FROM repository_version_count ORDER BY 1",
        ],
    }
}

pub fn purge() -> Case {
    Case {
        name: "purge",
        prepare: |app| {
            Box::pin(async move {
                app.sql
                    .run(
                        "INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class, \
                             logging_cid, enc_args, reserved_resources_record, immediate, deferred, rerun_after_loss, finished_at) \
                         SELECT gen_random_uuid(), '2020-01-01', '2020-01-01', d.pulp_id, nextval('task_ticket'), \
                                CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'completed' END, 'old', 'default', 'cid', '', '{}', false, true, \
                                false, '2020-01-01'::timestamptz + n * interval '1 s' \
                           FROM generate_series(1, 20000) n, domain d; \
                         INSERT INTO progress_report (pulp_id, task_id, message, code, state) \
                         SELECT gen_random_uuid(), pulp_id, 'm', 'c', 'completed' FROM task WHERE name = 'old'",
                    )
                    .await;
                json!({"name": "pulpcore.app.tasks.purge.purge"})
            })
        },
        same: &["SELECT state || ' ' || count(*) FROM task WHERE name = 'old' GROUP BY state"],
    }
}

pub fn upload_clean_up() -> Case {
    Case {
        name: "upload clean-up",
        prepare: |app| {
            Box::pin(async move {
                app.sql
                    .run(
                        "INSERT INTO upload (pulp_id, pulp_domain, size) \
                         SELECT gen_random_uuid(), d.pulp_id, 8 FROM generate_series(1, 400) n, domain d; \
                         INSERT INTO upload_chunk (upload_id, \"offset\", size, storage_key) \
                         SELECT u.pulp_id, o * 4, 4, 'artifact/00/' || row_number() OVER (ORDER BY u.pulp_id, o) \
                           FROM upload u, generate_series(0, 1) o",
                    )
                    .await;
                let folder = app.media().join("artifact/00");
                std::fs::create_dir_all(&folder).unwrap();
                for n in 1..=800 {
                    std::fs::write(folder.join(n.to_string()), "file").unwrap();
                }
                json!({"name": "pulpcore.app.tasks.orphan.upload_cleanup", "args": [0]})
            })
        },
        same: &[
            "SELECT pulp_id::text FROM upload",
            "SELECT storage_key FROM upload_chunk",
        ],
    }
}
