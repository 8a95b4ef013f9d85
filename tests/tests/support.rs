//! The support stands before anything is tested with it.

use millrace_tests::TestDb;

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    let (one, other) = (TestDb::create().await, TestDb::create().await);
    assert_ne!(one.url(), other.url());
    let (one, other) = (one.sql().await, other.sql().await);
    one.run("INSERT INTO task_group (pulp_id, pulp_domain, description) SELECT gen_random_uuid(), pulp_id, 'x' FROM domain")
        .await;
    assert_eq!(other.number("SELECT count(*) FROM task_group").await, 0);
}
