//! Versions that serve content stay, and do not count where others are retained (contract 1.7).

use super::sets::{href, modify, numbers};
use millrace_tests::TestApp;
use serde_json::{Value, json};

const REFUSAL: &str = "The repository version cannot be deleted because it (or its publications) are \
    currently being used to distribute content. Please update the necessary distributions first.";

struct Stand {
    app: TestApp,
    repository: Value,
    distribution: String,
}

impl Stand {
    /// A repository with versions 0 to 4, and a distribution that serves nothing.
    async fn open() -> Self {
        let app = TestApp::with_workers(1).await;
        let repository = app.repository("stand").await;
        let mut stand = Self {
            app,
            repository,
            distribution: String::new(),
        };
        for path in ["a", "b", "c", "d"] {
            stand.make(path).await;
        }
        stand.distribution = stand.distribute("d", &json!({})).await;
        stand
    }

    async fn make(&self, path: &str) {
        let unit = self.app.unit(path, path).await;
        let task = modify(
            &self.app,
            &self.repository,
            &json!({"add_content_units": [unit]}),
        )
        .await;
        assert_eq!(task["state"], "completed", "{task:#}");
    }

    async fn distribute(&self, name: &str, serves: &Value) -> String {
        let mut body = json!({"name": name, "base_path": name});
        body.as_object_mut()
            .unwrap()
            .extend(serves.as_object().unwrap().clone());
        let task = self
            .app
            .post("distributions/file/file/", &body)
            .await
            .task();
        let task = self.app.completed(&task).await;
        href(&task["result"]).to_owned()
    }

    async fn serve(&self, serves: Value) {
        let mut body = json!({"repository": null, "repository_version": null, "publication": null,
                              "checkpoint": false});
        body.as_object_mut()
            .unwrap()
            .extend(serves.as_object().unwrap().clone());
        let task = self.app.patch(&self.distribution, &body).await.task();
        self.app.completed(&task).await;
    }

    fn version(&self, number: i64) -> String {
        format!("{}versions/{number}/", href(&self.repository))
    }

    async fn publish(&self, body: Value) -> String {
        let task = self.app.post("publications/file/file/", &body).await.task();
        href(&self.app.completed(&task).await["result"]).to_owned()
    }

    async fn retain(&self, keep: Value) {
        let body = json!({"retain_repo_versions": keep});
        let task = self.app.patch(href(&self.repository), &body).await.task();
        self.app.completed(&task).await;
    }

    /// Only this version may not be deleted.
    async fn assert_protected(&self, number: i64) {
        let answer = self.app.delete(&self.version(number)).await;
        assert_eq!(answer.expect(400), json!([REFUSAL]), "version {number}");
        let protected = include_str!("../../../common/src/models/repository_version_protected.sql")
            .replace("$1", "(SELECT pulp_id FROM repository)");
        let numbers = format!(
            "SELECT v.number::text FROM (\n{protected}) p \
               JOIN repository_version v ON v.pulp_id = p.id"
        );
        assert_eq!(self.app.sql.texts(&numbers).await, [number.to_string()]);
    }

    async fn assert_left(&self, left: &[i64]) {
        assert_eq!(numbers(&self.app, &self.repository).await, left);
    }
}

#[tokio::test]
async fn what_a_distribution_serves_stays_and_does_not_count() {
    let stand = Stand::open().await;
    stand
        .serve(json!({"repository_version": stand.version(1)}))
        .await;
    stand.assert_protected(1).await;
    let publication = stand
        .publish(json!({"repository_version": stand.version(2)}))
        .await;
    stand.serve(json!({"publication": publication})).await;
    stand.assert_protected(2).await;
    // The newest version that is published, before others that are newer.
    stand
        .serve(json!({"repository": href(&stand.repository)}))
        .await;
    stand.assert_protected(2).await;
    assert_eq!(stand.app.delete(&publication).await.status, 204);
    stand.assert_protected(4).await;

    let publication = stand
        .publish(json!({"repository_version": stand.version(1)}))
        .await;
    stand.retain(json!(2)).await;
    stand.assert_left(&[1, 3, 4]).await;
    stand.make("e").await;
    stand.assert_left(&[1, 4, 5]).await;
    assert_eq!(stand.app.get(&publication).await.status, 200);
    // Its own publication is what it serves from now on.
    stand
        .publish(json!({"repository": href(&stand.repository)}))
        .await;
    stand.make("f").await;
    stand.assert_left(&[4, 5, 6]).await;
    assert_eq!(stand.app.get(&publication).await.status, 404);
    stand.app.finish().await;
}

#[tokio::test]
async fn checkpoints_stay_while_a_distribution_serves_checkpoints() {
    let stand = Stand::open().await;
    let repository = href(&stand.repository);
    stand
        .publish(json!({"repository": repository, "checkpoint": true}))
        .await;
    stand.make("e").await;
    stand
        .serve(json!({"repository": repository, "checkpoint": true}))
        .await;
    // Of what is published later, it serves checkpoints only.
    stand.publish(json!({"repository": repository})).await;
    let served = "SELECT string_agg(version_number::text, ',') FROM served";
    assert_eq!(stand.app.sql.text(served).await, "4");
    stand.assert_protected(4).await;
    stand.retain(json!(1)).await;
    stand.assert_left(&[4, 5]).await;
    stand.serve(json!({})).await;
    stand.make("f").await;
    stand.assert_left(&[6]).await;
    stand.app.finish().await;
}

#[tokio::test]
async fn a_version_that_is_served_before_its_deletion_starts_stays() {
    let stand = Stand::open().await;
    let lane = stand.repository["prn"].as_str().unwrap();
    let mut tasks = Vec::new();
    for number in [1, 4] {
        let held = stand.app.sleeper(60.0, &[lane]).await;
        let task = stand.app.delete(&stand.version(number)).await.task();
        stand
            .serve(json!({"repository_version": stand.version(number)}))
            .await;
        stand.app.cancel(&held).await;
        tasks.push(stand.app.finished(&task).await);
    }
    for task in tasks {
        assert_eq!(task["state"], "failed");
        assert_eq!(task["error"]["description"], REFUSAL);
    }
    stand.assert_left(&[0, 1, 2, 3, 4]).await;
    stand.app.finish().await;
}

#[tokio::test]
async fn what_is_dispatched_by_name_does_nothing_without_its_repository() {
    let stand = Stand::open().await;
    let lane = stand.repository["prn"].as_str().unwrap();
    let version = stand.app.get(&stand.version(2)).await.expect(200);
    let id = version["prn"].as_str().unwrap().rsplit(':').next().unwrap();
    let publish = json!({"repository_version_pk": id, "manifest": null});
    let repair = json!({"repository_version_pk": id, "verify_checksums": true});
    // The last one takes the version away.
    for (name, arguments, way) in [
        (
            "pulp_file.app.tasks.publishing.publish",
            publish,
            "shared_resources",
        ),
        (
            "pulpcore.app.tasks.repository.repair_version",
            repair,
            "shared_resources",
        ),
        (
            "pulpcore.app.tasks.repository.delete_version",
            json!({"pk": id}),
            "exclusive_resources",
        ),
    ] {
        let body = json!({"name": name, "kwargs": arguments});
        let task = stand.app.dispatch(&body).await;
        let task = stand.app.finished(&task).await;
        let text = format!("The task must be dispatched with a reservation of {lane}.");
        assert_eq!(task["error"]["description"], text, "{task:#}");
        let body = json!({"name": name, "kwargs": arguments, way: [lane]});
        let task = stand.app.dispatch(&body).await;
        stand.app.completed(&task).await;
    }
    stand.assert_left(&[0, 1, 3, 4]).await;
    stand.app.finish().await;
}
