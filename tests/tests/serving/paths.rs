//! What is no path, no method, no half of a process.

use super::shop::{PREFIX, Shop, header};
use millrace_tests::TestApp;
use reqwest::Method;

#[tokio::test]
async fn no_path_leads_out_of_a_publication() {
    let shop = Shop::with("p", &[("a/file", "x")]).await;
    let key = shop.sql.text("SELECT storage_key FROM artifact").await;
    let long = "x".repeat(5000);
    let deep = "x/".repeat(1900);
    for (target, status) in [
        ("p/a/file", 200),
        ("p/%61/fil%65", 200),
        ("p/../p/a/file", 404),
        ("p/%2e%2e/p/a/file", 404),
        ("p/a/./file", 404),
        ("p//a/file", 404),
        ("/p/a/file", 404),
        ("p/a%2f%2ffile", 404),
        ("..%2f..%2f..%2fetc/passwd", 404),
        ("p/..%5c..%5cetc", 404),
        (key.as_str(), 404),
        ("p/a/file%00", 400),
        ("p/%ff%fe", 400),
        ("p/a/file%", 404),
        (long.as_str(), 404),
        (deep.as_str(), 404),
    ] {
        let answer = shop.raw(&format!("{PREFIX}{target}")).await;
        let line = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&line), "{target}: {answer}");
        assert!(!answer.contains("application/json"), "{target}: {answer}");
    }
    for target in ["/pulp/conten%74/p/a/file", "/pulp/contentp/a/file"] {
        let answer = shop.raw(target).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{target}: {answer}");
    }
}

#[tokio::test]
async fn nobody_writes_here() {
    let shop = Shop::with("p", &[("file", "x")]).await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = shop.ask(method, "p/file", &[]).await;
        assert_eq!(answer.status, 405);
        assert_eq!(header(&answer, "allow"), "GET, HEAD, OPTIONS");
    }
    let answer = shop.ask(Method::OPTIONS, "p/file", &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "allow"), "GET, HEAD, OPTIONS");
    // Credentials are nobody's business here.
    let answer = shop
        .ask(Method::GET, "p/file", &[("authorization", "Basic xxx")])
        .await;
    assert_eq!(answer.text, "x");
}

#[tokio::test]
async fn each_half_can_be_served_alone() {
    let shop = Shop::with("p", &[("file", "x")]).await;
    let mut apps = Vec::new();
    for (half, status, content) in [("api", 200, 404), ("content", 404, 200)] {
        let (process, client) = shop.another_api(&["serve", "--only", half], &[]).await;
        assert_eq!(client.get("livez/").await.status, 200, "{half}");
        assert_eq!(client.get("status/").await.status, status, "{half}");
        assert_eq!(
            client.get("/pulp/content/p/file").await.status,
            content,
            "{half}"
        );
        apps.push(process);
    }
    // The shop's own process serves both.
    let known = millrace_tests::eventually(std::time::Duration::from_secs(20), async || {
        let status = shop.get("status/").await.expect(200);
        let count = |list: &str| status[list].as_array().unwrap().len();
        let counts = (count("online_api_apps"), count("online_content_apps"));
        (counts == (2, 2))
            .then_some(counts)
            .ok_or(format!("{counts:?}"))
    });
    known.await;
}

#[tokio::test]
async fn content_is_served_without_a_broker_under_another_prefix() {
    let app = TestApp::builder()
        .set("content.path_prefix", "/files/")
        .start()
        .await;
    let shop = Shop::of(app);
    let repository = shop.repository("r").await;
    shop.publish(&repository, &[("file", "x")]).await;
    shop.distribute("p", "repository_id", &repository).await;
    let nowhere = format!(
        "amqp://guest:guest@127.0.0.1:{}/%2f",
        millrace_tests::app::free_port()
    );
    let (_process, client) = shop
        .another_api(
            &["serve", "--only", "content"],
            &[("broker.url", nowhere.as_str())],
        )
        .await;
    assert_eq!(client.get("/files/p/file").await.text, "x");
    assert_eq!(client.get("/pulp/content/p/file").await.status, 404);
    let status = shop.get("status/").await.expect(200);
    assert_eq!(status["content_settings"]["content_path_prefix"], "/files/");
}
