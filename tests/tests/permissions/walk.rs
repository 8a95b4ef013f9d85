//! The whole table of URLs, as the document has it.

use super::*;
use reqwest::Method;
use uuid::Uuid;

/// Asked for without credentials, or of nobody but oneself.
const OPEN: [&str; 5] = ["/status/", "/livez/", "/readyz/", "/docs/", "/login/"];

/// Whoever asks may forget what he may delete, and hears of his own tasks, for as long as he likes.
const HARMLESS: [&str; 2] = ["/tasks/purge/", "/tasks/events/"];

#[tokio::test]
async fn somebody_without_a_role_sees_nothing_and_may_do_nothing_anywhere() {
    let app = TestApp::with_workers(1).await;
    let somebody = app.somebody().await;
    let zoo = app.repository("zoo").await;
    let unit = app.unit("cat", "c").await;
    app.modify(&zoo, &[unit], &[]).await;
    remote(&app, "there").await;
    published(&app, href(&zoo)).await;
    let document = app.get("docs/api.json?pk_path=1").await.expect(200);
    let tables = "SELECT (SELECT count(*) FROM task) + (SELECT count(*) FROM content) + (SELECT count(*) FROM upload) \
                         + (SELECT count(*) FROM artifact) + (SELECT count(*) FROM role_assignment)";
    let before = app.sql.number(tables).await;
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if OPEN
            .iter()
            .chain(&HARMLESS)
            .any(|open| path.ends_with(open))
        {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            seen += 1;
            let method: Method = method.to_uppercase().parse().unwrap();
            let request = somebody.request(method.clone(), &filled(path));
            let body = json!({"name": "x"});
            let answer = somebody
                .send(if method == Method::GET {
                    request
                } else {
                    request.json(&body)
                })
                .await;
            let is_empty = answer.json()["count"] == 0;
            let what = format!("{method} {path}: {} {}", answer.status, answer.text);
            assert!(
                is_empty || [403, 404, 415].contains(&answer.status.as_u16()),
                "{what}"
            );
        }
    }
    assert!(seen > 100, "{seen} operations");
    assert_eq!(app.sql.number(tables).await, before);
    app.finish().await;
}

/// A path with ids of nothing.
fn filled(path: &str) -> String {
    let mut parts = path.split('{');
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        filled += &Uuid::now_v7().to_string();
        filled += part.split_once('}').unwrap().1;
    }
    filled
}
