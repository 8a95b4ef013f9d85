//! A repository, its remote and the server behind it.

use millrace_tests::TestApp;
use millrace_tests::client::Answer;
use millrace_tests::upstream::Upstream;
use serde_json::{Value, json};

/// The directory of the server that the tests use.
pub const DIRECTORY: &str = "/pool";

pub struct Shop {
    pub app: TestApp,
    pub upstream: Upstream,
    pub remote: String,
    pub repository: String,
}

impl Shop {
    /// With a worker, and a remote of this policy.
    pub async fn open(policy: &str) -> Self {
        Self::of(TestApp::with_workers(1).await, policy).await
    }

    pub async fn of(app: TestApp, policy: &str) -> Self {
        let upstream = Upstream::start().await;
        let url = upstream.url(&format!("{DIRECTORY}/PULP_MANIFEST"));
        let body = json!({"name": "r", "url": url, "policy": policy, "max_retries": 0});
        let remote = app.post("remotes/file/file/", &body).await.expect(201);
        let remote = remote["pulp_href"].as_str().unwrap().to_owned();
        let body = json!({"name": "a", "remote": remote});
        let repository = app.post("repositories/file/file/", &body).await.expect(201);
        let repository = repository["pulp_href"].as_str().unwrap().to_owned();
        Self {
            app,
            upstream,
            remote,
            repository,
        }
    }

    /// Asks for a synchronisation.
    pub async fn ask(&self, body: &Value) -> Answer {
        self.app
            .post(&format!("{}sync/", self.repository), body)
            .await
    }

    /// Synchronises; gives the task.
    pub async fn sync(&self, body: &Value) -> Value {
        let task = self.ask(body).await.task();
        self.app.completed(&task).await
    }

    /// Synchronises in vain; gives what the client reads.
    pub async fn fails(&self, body: &Value) -> String {
        let task = self.ask(body).await.task();
        let task = self.app.finished(&task).await;
        assert_eq!(task["state"], "failed", "{task:#}");
        task["error"]["description"].as_str().unwrap().to_owned()
    }

    /// Number of the newest version.
    pub async fn newest(&self) -> i64 {
        let repository = self.app.get(&self.repository).await.expect(200);
        let href = repository["latest_version_href"]
            .as_str()
            .unwrap()
            .to_owned();
        href.trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// The paths of the newest version, in order.
    pub async fn paths(&self) -> Vec<String> {
        let list = format!(
            "content/file/files/?repository_version={}&ordering=relative_path",
            self.repository
        );
        let page = self.app.get(&list).await.expect(200);
        let results = page["results"].as_array().unwrap();
        results
            .iter()
            .map(|one| one["relative_path"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Changes the remote.
    pub async fn change_remote(&self, body: &Value) {
        let task = self.app.patch(&self.remote, body).await.task();
        self.app.completed(&task).await;
    }
}

/// Message, total and count of a report.
pub fn report(task: &Value, code: &str) -> Option<(String, Value, i64)> {
    let reports = task["progress_reports"].as_array().unwrap();
    let found = reports.iter().find(|one| one["code"] == code)?;
    assert_eq!(found["state"], "completed", "{found}");
    Some((
        found["message"].as_str().unwrap().to_owned(),
        found["total"].clone(),
        found["done"].as_i64().unwrap(),
    ))
}
