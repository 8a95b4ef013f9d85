//! A virtual host of the broker for each test.

use crate::stack;
use crate::test_db::in_own_runtime;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;
use url::Url;

static NEXT: AtomicU32 = AtomicU32::new(0);
static SWEPT: OnceCell<()> = OnceCell::const_new();

/// A virtual host of a test's own; deleted at the end.
pub struct Vhost {
    broker: String,
    management: Url,
    name: String,
}

impl Vhost {
    /// One on the shared broker.
    pub async fn create() -> Self {
        let management = stack::management_url();
        SWEPT.get_or_init(|| sweep(&management)).await;
        Self::create_on(&stack::broker_url(), &management).await
    }

    /// One on a test's own broker.
    pub async fn create_on(broker: &str, management: &str) -> Self {
        let vhost = Self {
            broker: broker.to_owned(),
            management: Url::parse(management).unwrap(),
            name: stack::own_name(NEXT.fetch_add(1, Ordering::Relaxed)),
        };
        vhost.make().await;
        vhost
    }

    /// Creates it (again), empty: what was there under its name goes.
    pub async fn make(&self) {
        delete(&self.management, &self.name).await;
        self.call(
            reqwest::Method::PUT,
            &format!("vhosts/{}", self.name),
            Some(json!({})),
        )
        .await;
        self.permit(".*").await;
    }

    /// Lets the user configure, write and read what has such a name, and nothing else.
    pub async fn permit(&self, names: &str) {
        let path = format!("permissions/{}/{}", self.name, self.management.username());
        let rights = json!({"configure": names, "write": names, "read": names});
        self.call(reqwest::Method::PUT, &path, Some(rights)).await;
    }

    /// Deletes it with everything in it; clients are cut off.
    pub async fn delete(&self) {
        let path = format!("vhosts/{}", self.name);
        self.call(reqwest::Method::DELETE, &path, None).await;
    }

    /// Its address for AMQP clients.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = Url::parse(&self.broker).unwrap();
        url.set_path(&self.name);
        url.into()
    }

    /// Deletes the messages that wait in a queue.
    pub async fn purge(&self, queue: &str) {
        let path = format!("queues/{}/{queue}/contents", self.name);
        self.call(reqwest::Method::DELETE, &path, None).await;
    }

    /// Deletes a queue under those who use it.
    pub async fn delete_queue(&self, queue: &str) {
        let path = format!("queues/{}/{queue}", self.name);
        self.call(reqwest::Method::DELETE, &path, None).await;
    }

    /// Closes the connections of all clients, as an operator would.
    pub async fn close_connections(&self) {
        let path = format!("vhosts/{}/connections", self.name);
        for connection in self
            .call(reqwest::Method::GET, &path, None)
            .await
            .as_array()
            .into_iter()
            .flatten()
        {
            let name = connection["name"].as_str().unwrap().replace(' ', "%20");
            let path = format!("connections/{}", name.replace("->", "-%3E"));
            self.call(reqwest::Method::DELETE, &path, None).await;
        }
    }

    /// Whether each connection that clients have open is encrypted.
    pub async fn tls_of_connections(&self) -> Vec<bool> {
        let path = format!("vhosts/{}/connections", self.name);
        let open = self.call(reqwest::Method::GET, &path, None).await;
        let open = open.as_array().into_iter().flatten();
        open.map(|connection| connection["ssl"] == true).collect()
    }

    /// How many connections clients have open.
    pub async fn connections(&self) -> usize {
        let path = format!("vhosts/{}/connections", self.name);
        let open = self.call(reqwest::Method::GET, &path, None).await;
        open.as_array().map_or(0, Vec::len)
    }

    /// Names of its queues.
    pub async fn queues(&self) -> Vec<String> {
        let path = format!("queues/{}", self.name);
        let queues = self.call(reqwest::Method::GET, &path, None).await;
        let names = queues
            .as_array()
            .unwrap()
            .iter()
            .map(|q| q["name"].as_str());
        names.map(|name| name.unwrap().to_owned()).collect()
    }

    /// The messages that wait in a queue, as the management UI shows them to people; they stay where they are.
    pub async fn messages(&self, queue: &str) -> Vec<Value> {
        let path = format!("queues/{}/{queue}/get", self.name);
        let how = json!({"count": 100, "ackmode": "ack_requeue_true", "encoding": "auto"});
        let found = self.call(reqwest::Method::POST, &path, Some(how)).await;
        found.as_array().cloned().unwrap_or_default()
    }

    /// What is declared in it.
    pub async fn definitions(&self) -> Value {
        let path = format!("definitions/{}", self.name);
        self.call(reqwest::Method::GET, &path, None).await
    }

    /// Declares what an operator's file says.
    pub async fn import(&self, definitions: Value) {
        let path = format!("definitions/{}", self.name);
        self.call(reqwest::Method::POST, &path, Some(definitions))
            .await;
    }

    /// Sets the policies of the definitions that are shipped.
    pub async fn set_policies(&self) {
        let shipped = include_str!("../../deploy/rabbitmq/definitions.json");
        let shipped: Value = serde_json::from_str(shipped).unwrap();
        self.import(json!({"policies": shipped["policies"]})).await;
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        call(&self.management, method, path, body)
            .await
            .unwrap_or_else(|e| panic!("management API: {path}: {e:#}"))
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        let (management, name) = (self.management.clone(), self.name.clone());
        in_own_runtime(async move { delete(&management, &name).await });
    }
}

/// What is declared in the virtual host that every broker has.
pub async fn standard_definitions(management: &str) -> Value {
    let management = Url::parse(management).unwrap();
    call(&management, reqwest::Method::GET, "definitions/%2F", None)
        .await
        .unwrap_or_else(|e| panic!("management API: definitions: {e:#}"))
}

/// Clears away what runs that were killed have left behind.
async fn sweep(management: &str) {
    let management = Url::parse(management).unwrap();
    let vhosts = call(&management, reqwest::Method::GET, "vhosts", None)
        .await
        .unwrap_or_else(|e| panic!("management API: vhosts: {e:#}"));
    for vhost in vhosts.as_array().into_iter().flatten() {
        let name = vhost["name"].as_str().unwrap();
        if stack::is_left_behind(name) {
            delete(&management, name).await;
        }
    }
}

/// Deletes a virtual host where there is one.
async fn delete(management: &Url, name: &str) {
    let path = format!("vhosts/{name}");
    let _ = call(management, reqwest::Method::DELETE, &path, None).await;
}

async fn call(
    management: &Url,
    method: reqwest::Method,
    path: &str,
    body: Option<Value>,
) -> anyhow::Result<Value> {
    // The credentials in the address become a header.
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .request(method, management.join(&format!("/api/{path}"))?);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await?.error_for_status()?;
    let text = answer.text().await?;
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}
