//! The REST API as the tests call it.

use crate::eventually;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// States that a task never leaves.
pub const FINAL: [&str; 4] = ["completed", "failed", "canceled", "skipped"];

/// A client with credentials.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    origin: String,
    user: String,
    password: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body as text.
    pub text: String,
}

impl Answer {
    /// Body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The body of an answer with this status; panics on another.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }

    /// The task of a 202.
    #[track_caller]
    #[must_use]
    pub fn task(&self) -> String {
        let body = self.expect(202);
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        body["task"].as_str().unwrap().to_owned()
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
}

impl Client {
    /// A client of the API at this origin, as `admin`.
    #[must_use]
    pub fn new(origin: &str, password: &str) -> Self {
        Self {
            http: builder().build().unwrap(),
            origin: origin.to_owned(),
            user: "admin".to_owned(),
            password: password.to_owned(),
        }
    }

    /// The same, trusting servers whose certificate this authority (PEM) signed, and no others.
    #[must_use]
    pub fn trusting(&self, authority: &str) -> Self {
        let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        let http = builder().tls_certs_only([authority]).build().unwrap();
        Self {
            http,
            ..self.clone()
        }
    }

    /// The same as somebody else with the same password.
    #[must_use]
    pub fn as_user(&self, user: &str) -> Self {
        Self {
            user: user.to_owned(),
            ..self.clone()
        }
    }

    /// The same as somebody with a password of his own.
    #[must_use]
    pub fn with(&self, user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            ..self.clone()
        }
    }

    /// The same with an API elsewhere.
    #[must_use]
    pub fn at(&self, origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            ..self.clone()
        }
    }

    /// Where the API is.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A request with credentials: to an href, or to a path below `/pulp/api/v3/`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path)
            .basic_auth(&self.user, Some(&self.password))
    }

    /// A request without credentials.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.origin)
        } else {
            format!("{}/pulp/api/v3/{path}", self.origin)
        };
        self.http.request(method, url)
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request)
            .await
            .unwrap_or_else(|e| panic!("no answer: {e:?}"))
    }

    /// As [`Client::send`], where an answer is not certain.
    ///
    /// # Errors
    /// There was none.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let answer = request.send().await?;
        Ok(Answer {
            status: answer.status(),
            headers: answer.headers().clone(),
            text: answer.text().await?,
        })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// PATCH of JSON.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Dispatches a task by name; gives its href.
    pub async fn dispatch(&self, body: &Value) -> String {
        self.post("tasks/", body).await.task()
    }

    /// Dispatches a sleep of so many seconds on these exclusive resources.
    pub async fn sleeper(&self, seconds: f64, exclusive: &[&str]) -> String {
        self.dispatch(&sleep(seconds, exclusive)).await
    }

    /// Reads a task.
    pub async fn task(&self, href: &str) -> Value {
        self.get(href).await.expect(200)
    }

    /// Waits until a task is final; gives it.
    pub async fn finished(&self, href: &str) -> Value {
        self.finished_within(href, Duration::from_secs(60)).await
    }

    /// As [`Client::finished`], with a deadline.
    pub async fn finished_within(&self, href: &str, deadline: Duration) -> Value {
        eventually(deadline, async || {
            let task = self.task(href).await;
            if FINAL.contains(&task["state"].as_str().unwrap_or_default()) {
                Ok(task)
            } else {
                Err(format!("{href}: {}", task["state"]))
            }
        })
        .await
    }

    /// Waits until a task is completed; gives it.
    pub async fn completed(&self, href: &str) -> Value {
        let task = self.finished(href).await;
        assert_eq!(task["state"], "completed", "{task:#}");
        task
    }

    /// Waits until a task is in a state.
    pub async fn in_state(&self, href: &str, state: &str) -> Value {
        eventually(Duration::from_secs(30), async || {
            let task = self.task(href).await;
            if task["state"] == state {
                Ok(task)
            } else {
                Err(format!("{href} is {}, not {state}", task["state"]))
            }
        })
        .await
    }

    /// Asks for the cancellation of a task.
    pub async fn cancel(&self, href: &str) -> Answer {
        self.patch(href, &json!({"state": "canceled"})).await
    }

    /// Uploads an artifact; gives it.
    pub async fn upload(&self, bytes: Vec<u8>) -> Value {
        let answer = self.try_upload(bytes).await;
        answer.expect(201)
    }

    /// Uploads an artifact; gives the answer.
    pub async fn try_upload(&self, bytes: Vec<u8>) -> Answer {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("file");
        let form = reqwest::multipart::Form::new().part("file", part);
        self.send(self.request(Method::POST, "artifacts/").multipart(form))
            .await
    }

    /// Makes a file unit from an artifact and waits for it; gives its href.
    pub async fn file(&self, artifact: &Value, path: &str) -> String {
        let body = [
            ("artifact", artifact["pulp_href"].as_str().unwrap()),
            ("relative_path", path),
        ];
        let form = body
            .into_iter()
            .fold(reqwest::multipart::Form::new(), |form, (key, value)| {
                form.text(key, value.to_owned())
            });
        let request = self.request(Method::POST, "content/file/files/");
        let task = self.send(request.multipart(form)).await.task();
        let task = self.completed(&task).await;
        task["created_resources"][0].as_str().unwrap().to_owned()
    }

    /// Makes a file unit of this text at once; gives its href.
    pub async fn unit(&self, path: &str, text: &str) -> String {
        let answer = self.try_unit(path, text, None).await;
        answer.expect(201)["pulp_href"].as_str().unwrap().to_owned()
    }

    /// Posts a file unit of this text to `content/file/files/upload/`, with these labels.
    pub async fn try_unit(&self, path: &str, text: &str, labels: Option<&str>) -> Answer {
        let part = reqwest::multipart::Part::text(text.to_owned()).file_name("file");
        let mut form = reqwest::multipart::Form::new()
            .text("relative_path", path.to_owned())
            .part("file", part);
        if let Some(labels) = labels {
            form = form.text("pulp_labels", labels.to_owned());
        }
        let request = self.request(Method::POST, "content/file/files/upload/");
        self.send(request.multipart(form)).await
    }

    /// The addresses of what a list finds, in its order.
    pub async fn hrefs(&self, list: &str) -> Vec<String> {
        let page = self.get(list).await.expect(200);
        let results = page["results"].as_array().unwrap();
        let hrefs: Vec<String> = results
            .iter()
            .map(|one| one["pulp_href"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(page["count"], hrefs.len(), "{list} has more pages");
        hrefs
    }

    /// Makes a repository; gives it.
    pub async fn repository(&self, name: &str) -> Value {
        self.post("repositories/file/file/", &json!({"name": name}))
            .await
            .expect(201)
    }

    /// Changes what is in a repository and waits for it; gives the task.
    pub async fn modify(&self, repository: &Value, add: &[String], remove: &[String]) -> Value {
        let href = repository["pulp_href"].as_str().unwrap();
        let body = json!({"add_content_units": add, "remove_content_units": remove});
        let task = self.post(&format!("{href}modify/"), &body).await.task();
        self.completed(&task).await
    }
}

/// The request for a sleep of so many seconds on these exclusive resources.
#[must_use]
pub fn sleep(seconds: f64, exclusive: &[&str]) -> Value {
    json!({"name": "pulpcore.app.tasks.test.sleep", "kwargs": {"interval": seconds},
           "exclusive_resources": exclusive})
}

/// The last part of an href: the id.
#[must_use]
pub fn id_of(href: &str) -> &str {
    href.trim_end_matches('/').rsplit('/').next().unwrap()
}

/// All metrics of the process that listens there.
///
/// # Panics
/// When it does not answer.
pub async fn scrape(address: &str) -> String {
    let answer = reqwest::get(format!("http://{address}/metrics")).await;
    let answer = answer.unwrap().error_for_status().unwrap();
    answer.text().await.unwrap()
}

/// The value of a metric of the process that listens there.
///
/// # Panics
/// When it has none of that name.
pub async fn metric(address: &str, name: &str) -> f64 {
    let text = scrape(address).await;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("no {name}:\n{text}"))
}
