//! A server that speaks the REST dialect, ours or a peer's, as the same client sees it: with the cookie of a session.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of an answer ends the benchmark"
)]

use crate::LONG;
use anyhow::{Context, ensure};
use reqwest::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often a client asks for the state of a task.
const POLL: Duration = Duration::from_millis(5);
const FINAL: [&str; 4] = ["completed", "failed", "canceled", "skipped"];

/// One of the servers that are compared.
#[derive(Clone)]
pub struct Side {
    /// How the figures call it.
    pub name: &'static str,
    http: reqwest::Client,
    origin: String,
    headers: HeaderMap,
}

impl Side {
    /// Begins a session.
    ///
    /// # Errors
    /// A server that does not answer, a wrong password.
    pub async fn log_in(name: &'static str, origin: &str, password: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(LONG)
            .build()?;
        let url = format!("{origin}/pulp/api/v3/login/");
        let request = http.post(url).basic_auth("admin", Some(password));
        let answer = request.send().await?.error_for_status()?;
        let mut headers = HeaderMap::new();
        let mut cookies = Vec::new();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            cookies.push(pair.to_owned());
            if let Some(token) = pair.strip_prefix("csrftoken=") {
                let name = HeaderName::from_static("x-csrftoken");
                headers.insert(name, HeaderValue::from_str(token)?);
            }
        }
        ensure!(!cookies.is_empty(), "{name} gives no session");
        headers.insert(COOKIE, HeaderValue::from_str(&cookies.join("; "))?);
        Ok(Self {
            name,
            http,
            origin: origin.to_owned(),
            headers,
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.origin)
        } else {
            format!("{}/pulp/api/v3/{path}", self.origin)
        };
        self.http.request(method, url).headers(self.headers.clone())
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.send().await?;
        let (status, url) = (answer.status(), answer.url().clone());
        let text = answer.text().await?;
        ensure!(status.is_success(), "{}: {url}: {status} {text}", self.name);
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// GET.
    ///
    /// # Errors
    /// No answer, or one that is no success; so with all that follow.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.request(Method::GET, path)).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(self.request(Method::POST, path).json(body))
            .await
    }

    /// POST of something new; gives its address.
    pub async fn make(&self, path: &str, body: &Value) -> anyhow::Result<String> {
        let made = self.post(path, body).await?;
        let href = made["pulp_href"].as_str().context("no address")?;
        Ok(href.to_owned())
    }

    /// POST of what becomes a task; gives the task's address.
    pub async fn dispatch(&self, path: &str, body: &Value) -> anyhow::Result<String> {
        let answer = self.post(path, body).await?;
        Ok(answer["task"].as_str().context("no task")?.to_owned())
    }

    /// DELETE; waits for its task, if it has one.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.answer(self.request(Method::DELETE, path)).await?;
        if let Some(task) = answer["task"].as_str() {
            self.completed(task).await?;
        }
        Ok(())
    }

    /// Uploads an artifact.
    pub async fn upload(&self, bytes: Vec<u8>) -> anyhow::Result<()> {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("file");
        let form = reqwest::multipart::Form::new().part("file", part);
        let request = self.request(Method::POST, "artifacts/").multipart(form);
        self.answer(request).await.map(|_| ())
    }

    /// Asks for a task until it is final, as a client that polls does, at once and then every 5 ms; gives it.
    pub async fn completed(&self, task: &str) -> anyhow::Result<Value> {
        let start = Instant::now();
        let mut turns = tokio::time::interval(POLL);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let found = self.get(task).await?;
            let state = found["state"].as_str().unwrap_or_default();
            if FINAL.contains(&state) {
                ensure!(state == "completed", "{}: {found:#}", self.name);
                return Ok(found);
            }
            ensure!(start.elapsed() < LONG, "{}: {found:#}", self.name);
        }
    }

    /// Dispatches and waits; gives milliseconds from the start of the task's body to its end.
    pub async fn run(&self, path: &str, body: &Value) -> anyhow::Result<f64> {
        let task = self.dispatch(path, body).await?;
        let task = self.completed(&task).await?;
        let time = |field: &str| {
            let text = task[field].as_str().unwrap_or_default();
            chrono::DateTime::parse_from_rfc3339(text).context(field.to_owned())
        };
        let span = time("finished_at")? - time("started_at")?;
        Ok(span.to_std()?.as_secs_f64() * 1000.0)
    }

    /// How many tasks a filter finds.
    pub async fn tasks(&self, filter: &str) -> anyhow::Result<u64> {
        let page = self.get(&format!("tasks/?limit=1&{filter}")).await?;
        page["count"].as_u64().context("no count")
    }

    /// Waits until no task is unfinished, which is looked at every 50 ms.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.tasks("state__in=waiting,running").await? > 0 {
            ensure!(
                start.elapsed() < LONG,
                "{} does not come to an end",
                self.name
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// A repository of files.
    pub async fn repository(&self, name: &str) -> anyhow::Result<String> {
        self.make("repositories/file/file/", &json!({"name": name}))
            .await
    }

    /// A repository with what a remote has; gives its address and the milliseconds of the synchronisation's body.
    pub async fn synced(
        &self,
        name: &str,
        url: &str,
        policy: &str,
    ) -> anyhow::Result<(String, f64)> {
        let body = json!({"name": name, "url": url, "policy": policy});
        let remote = self.make("remotes/file/file/", &body).await?;
        let body = json!({"name": name, "remote": remote});
        let repository = self.make("repositories/file/file/", &body).await?;
        let time = self.sync(&repository).await?;
        Ok((repository, time))
    }

    /// Synchronises; gives the milliseconds of the body.
    pub async fn sync(&self, repository: &str) -> anyhow::Result<f64> {
        self.run(&format!("{repository}sync/"), &json!({})).await
    }

    /// Addresses of units of the newest version of a repository.
    pub async fn units(&self, repository: &str, count: usize) -> anyhow::Result<Vec<String>> {
        let found = self.get(repository).await?;
        let version = found["latest_version_href"]
            .as_str()
            .context("no version")?;
        let mut units = Vec::new();
        while units.len() < count {
            let offset = units.len();
            let list = format!(
                "content/file/files/?repository_version={version}&limit=100&offset={offset}"
            );
            let page = self.get(&list).await?;
            let hrefs = page["results"].as_array().context("no page")?.iter();
            units.extend(hrefs.filter_map(|unit| Some(unit["pulp_href"].as_str()?.to_owned())));
            ensure!(units.len() > offset, "{} has {offset} units", self.name);
        }
        units.truncate(count);
        Ok(units)
    }
}
