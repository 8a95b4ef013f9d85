//! More orphans than one transaction takes, right after they came.

use super::{cleanup, href};
use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use serde_json::json;

/// Every tenth unit is in a repository, every tenth artifact has a unit.
const FILL: &str = "
    INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields)
    SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256(('many' || n)::bytea), sha256(('m/' || n)::bytea),
           jsonb_build_object('relative_path', 'm/' || n) FROM generate_series(1, 5000) n, domain d;
    INSERT INTO repository_content (repository_id, content_id, version_added)
    SELECT r.pulp_id, c.pulp_id, 0 FROM repository r,
           (SELECT pulp_id, row_number() OVER () AS n FROM content) c WHERE c.n % 10 = 0;
    INSERT INTO artifact (pulp_id, pulp_domain, storage_key, size, sha256)
    SELECT gen_random_uuid(), d.pulp_id, 'artifact/' || n, 1, encode(sha256(n::text::bytea), 'hex')
      FROM generate_series(1, 3000) n, domain d;
    INSERT INTO content_artifact (pulp_id, content_id, artifact_id, relative_path)
    SELECT gen_random_uuid(), c.content_id, a.pulp_id, 'f'
      FROM (SELECT content_id, row_number() OVER () AS n FROM repository_content) c
      JOIN (SELECT pulp_id, row_number() OVER () AS n FROM artifact) a ON a.n = c.n WHERE c.n <= 300";

/// 10,000 units in the repository and 2,100 in none, 6,000 artifacts of units and 1,100 of none.
const MORE: &str = "
    INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields)
    SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256(('more' || n)::bytea), sha256(('more/' || n)::bytea),
           jsonb_build_object('relative_path', 'more/' || n, 'n', n) FROM generate_series(1, 12100) n, domain d;
    INSERT INTO repository_content (repository_id, content_id, version_added)
    SELECT '$repository', c.pulp_id, 0 FROM content c WHERE (c.fields ->> 'n')::integer <= 10000;
    INSERT INTO artifact (pulp_id, pulp_domain, storage_key, size, sha256)
    SELECT gen_random_uuid(), d.pulp_id, 'artifact/more' || n, n, encode(sha256(('more' || n)::bytea), 'hex')
      FROM generate_series(1, 7100) n, domain d;
    INSERT INTO content_artifact (pulp_id, content_id, artifact_id, relative_path)
    SELECT gen_random_uuid(), c.pulp_id, a.pulp_id, 'more' FROM content c
      JOIN artifact a ON a.size = (c.fields ->> 'n')::integer AND a.storage_key LIKE 'artifact/more%'
     WHERE a.size <= 6000";

#[tokio::test]
async fn batch_after_batch_goes_and_what_is_needed_between_them_stays() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("kept").await;
    app.sql.run(FILL).await;
    let known = "SELECT max(reltuples)::bigint FROM pg_class WHERE oid IN ('content'::regclass, 'artifact'::regclass)";
    assert!(
        app.sql.number(known).await < 10_000,
        "the walk in order is for rows that statistics do not know"
    );
    // Somebody uses one of those that nothing needs.
    let used = "SELECT c.pulp_id::text FROM content c WHERE NOT EXISTS
                  (SELECT FROM repository_content m WHERE m.content_id = c.pulp_id) ORDER BY 1 LIMIT 1 OFFSET 2500";
    let used = app.sql.text(used).await;
    let held = app.db.sql().await;
    held.run(&format!(
        "BEGIN; SELECT FROM content WHERE pulp_id = '{used}' FOR KEY SHARE"
    ))
    .await;
    let all = json!({"orphan_protection_time": 0});
    let result = cleanup(&app, all.clone()).await["result"].clone();
    assert_eq!(
        (&result["units"], &result["artifacts"], &result["skipped"]),
        (&json!(4499), &json!(2700), &json!(1))
    );
    let left = "SELECT count(*) FROM content c WHERE NOT EXISTS
                  (SELECT FROM repository_content m WHERE m.content_id = c.pulp_id)";
    assert_eq!(app.sql.number(left).await, 1);
    held.run("ROLLBACK").await;
    assert_eq!(cleanup(&app, all.clone()).await["result"]["units"], 1);
    // Few among many that statistics know of: PostgreSQL plans, and finds the same.
    let id = id_of(href(&repository)).to_string();
    app.sql.run(&MORE.replace("$repository", &id)).await;
    for table in [
        "content",
        "artifact",
        "repository_content",
        "content_artifact",
    ] {
        app.sql.run(&format!("VACUUM ANALYZE {table}")).await;
    }
    let result = cleanup(&app, all).await["result"].clone();
    assert_eq!(
        (&result["units"], &result["artifacts"]),
        (&json!(2100), &json!(1100))
    );
    app.finish().await;
}

/// Each artifact is that of two units, which are mostly met by different batches.
pub const SHARED: &str = "
    INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields)
    SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256(n::text::bytea), sha256(('s/' || n)::bytea),
           jsonb_build_object('relative_path', 's/' || n, 'n', n) FROM generate_series(0, 7999) n, domain d;
    INSERT INTO artifact (pulp_id, pulp_domain, storage_key, size, sha256)
    SELECT gen_random_uuid(), d.pulp_id, 'artifact/' || n, n, encode(sha256(n::text::bytea), 'hex')
      FROM generate_series(0, 3999) n, domain d;
    INSERT INTO content_artifact (pulp_id, content_id, artifact_id, relative_path)
    SELECT gen_random_uuid(), c.pulp_id, a.pulp_id, 'f' FROM content c
      JOIN artifact a ON a.size = (c.fields ->> 'n')::integer % 4000";

#[tokio::test]
async fn artifacts_that_units_of_several_batches_have_go_with_them() {
    let app = TestApp::with_workers(1).await;
    app.sql.run(SHARED).await;
    let task = cleanup(&app, json!({"orphan_protection_time": 0})).await;
    let result = &task["result"];
    assert_eq!(
        (&result["units"], &result["artifacts"], &result["skipped"]),
        (&json!(8000), &json!(4000), &json!(0)),
        "{task:#}"
    );
    app.finish().await;
}
