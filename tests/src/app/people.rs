//! People who are no administrators, and what they may do.

use super::TestApp;
use crate::client::Client;
use serde_json::{Value, json};

impl TestApp {
    /// A client of somebody of this name, who holds no role.
    pub async fn person(&self, name: &str) -> Client {
        self.sql
            .run(&format!(
                "INSERT INTO account (username, password, is_superuser) \
                 SELECT '{name}', password, false FROM account WHERE username = 'admin'"
            ))
            .await;
        self.client.as_user(name)
    }

    /// Gives somebody a role everywhere, or on an object.
    pub async fn grant(&self, name: &str, role: &str, object: Option<&str>) {
        let of = format!("SELECT id FROM account WHERE username = '{name}'");
        let id = self.sql.number(&of).await;
        let body = json!({"role": role, "content_object": object});
        self.post(&format!("users/{id}/roles/"), &body)
            .await
            .expect(201);
    }

    /// A group of these people.
    pub async fn group(&self, name: &str, members: &[&str]) -> Value {
        let group = self.post("groups/", &json!({"name": name})).await;
        let group = group.expect(201);
        let href = group["pulp_href"].as_str().unwrap();
        for member in members {
            let body = json!({"username": member});
            self.post(&format!("{href}users/"), &body).await.expect(201);
        }
        group
    }
}
