//! Mirrors.

use super::shop::{DIRECTORY, Shop, report};
use serde_json::{Value, json};

#[tokio::test]
async fn a_mirror_holds_what_the_remote_has_and_publishes_its_manifest() {
    let shop = Shop::open("on_demand").await;
    shop.upstream.publish(DIRECTORY, &[("a", "1"), ("b", "2")]);
    shop.sync(&json!({})).await;
    let unit = shop.app.unit("own", "3").await;
    let repository = shop.app.get(&shop.repository).await.expect(200);
    shop.app.modify(&repository, &[unit], &[]).await;
    shop.upstream.publish(DIRECTORY, &[("b", "2"), ("c", "4")]);
    let task = shop.sync(&json!({"mirror": true})).await;
    assert_eq!(shop.paths().await, ["b", "c"]);
    let gone = report(&task, "unassociating.content").unwrap();
    assert_eq!(gone, ("Un-Associating Content".to_owned(), Value::Null, 2));
    let created = task["created_resources"].as_array().unwrap();
    assert_eq!(created[0], task["result"]["pulp_href"]);
    let publication = created[1].as_str().unwrap();
    assert!(
        publication.starts_with("/pulp/api/v3/publications/file/file/"),
        "{publication}"
    );
    let published = "SELECT p.manifest || ' ' || a.size FROM publication p \
         JOIN published_artifact f ON f.publication_id = p.pulp_id \
         JOIN content_artifact c ON c.pulp_id = f.content_artifact_id \
         JOIN artifact a ON a.pulp_id = c.artifact_id";
    let size = 2 * (1 + 1 + 64 + 1 + 1 + 1);
    assert_eq!(
        shop.app.sql.texts(published).await,
        [format!("PULP_MANIFEST {size}")]
    );
    assert_eq!(
        shop.app
            .sql
            .number("SELECT count(*) FROM version_kept")
            .await,
        0
    );
    // Nothing new: no version, and no publication either.
    let task = shop.sync(&json!({"mirror": true, "optimize": false})).await;
    assert_eq!(task["created_resources"], json!([]));
    shop.app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_synchronised_is_refused_before_a_task_is_made() {
    let shop = Shop::open("on_demand").await;
    let bare = shop.app.repository("bare").await;
    let sync = format!("{}sync/", bare["pulp_href"].as_str().unwrap());
    let required = "This field is required since a remote is not set on the repository.";
    let error = shop.app.post(&sync, &json!({})).await.expect(400);
    assert_eq!(error, json!({"remote": [required]}));
    for (body, field, message) in [
        (
            json!({"remote": "x"}),
            "remote",
            "Invalid hyperlink - No URL match.",
        ),
        (
            json!({"remote": shop.repository}),
            "remote",
            "Invalid hyperlink - Incorrect URL match.",
        ),
        (
            json!({"mirror": "maybe"}),
            "mirror",
            "Must be a valid boolean.",
        ),
        (
            json!({"optimize": null}),
            "optimize",
            "This field may not be null.",
        ),
        (json!({"foo": 1}), "foo", "Unexpected field"),
    ] {
        let error = shop.ask(&body).await.expect(400);
        assert_eq!(error[field], json!([message]), "{body}");
    }
    let task = shop
        .app
        .patch(&shop.repository, &json!({"autopublish": true}))
        .await
        .task();
    shop.app.completed(&task).await;
    let error = shop.ask(&json!({"mirror": true})).await.expect(400);
    assert_eq!(
        error,
        json!(["Cannot use mirror mode with autopublished repository."])
    );
    let id = "0199e6a0-0000-7000-8000-000000000001";
    let missing = format!("repositories/file/file/{id}/sync/");
    shop.app.post(&missing, &json!({})).await.expect(404);
    let syncs = "SELECT count(*) FROM task WHERE name LIKE '%synchronize'";
    assert_eq!(shop.app.sql.number(syncs).await, 0);
}
