//! The envelope of refusals, and what is told of faults.

use super::{get, path};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::Value;

#[tokio::test]
async fn a_fault_of_ours_keeps_the_keys_and_tells_its_correlation_id_only() {
    let app = TestApp::start().await;
    app.sql.run("ALTER TABLE content RENAME TO hidden").await;
    let id = "0123456789abcdef0123456789abcdef";
    for rest in ["content/orphans/", "content/orphans/file/"] {
        let request = app
            .request(Method::GET, &path(rest))
            .header("correlation-id", id);
        let answer = app.send(request).await;
        let body = answer.expect(500);
        assert_eq!(body["error"]["code"], "PLP0000");
        assert_eq!(body["correlation_id"], id);
        assert_eq!(answer.headers["correlation-id"], id);
        assert_eq!(body["_href"], path(rest).as_str());
        for key in ["exception", "traceback"] {
            assert_eq!(body.as_object().unwrap().get(key), Some(&Value::Null));
        }
        assert!(!answer.text.contains("exist"), "{}", answer.text);
    }
    app.sql.run("ALTER TABLE hidden RENAME TO content").await;
    get(&app, "content/orphans/").await.expect(200);
}
