//! Accounts, groups, roles and logging in.

mod assignments;
mod audit;
mod deletions;
mod groups;
mod lockouts;
mod passwords;
mod roles;
mod sessions;
mod users;

use millrace_tests::TestApp;
use serde_json::{Value, json};

/// A password that may be taken.
const PASSWORD: &str = "a fine long sentence";

/// Makes an account with [`PASSWORD`]; gives it.
async fn account(app: &TestApp, username: &str) -> Value {
    let body = json!({"username": username, "password": PASSWORD});
    app.post("users/", &body).await.expect(201)
}

fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

/// What may not change where a request is refused.
async fn people(app: &TestApp) -> String {
    let tables = [
        "account",
        "account_group",
        "account_group_member",
        "role",
        "role_assignment",
        "audit_entry",
    ];
    let mut all = String::new();
    for table in tables {
        let rows = format!(
            "SELECT coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '-') FROM {table} t"
        );
        all.push_str(&app.sql.text(&rows).await);
    }
    all
}
