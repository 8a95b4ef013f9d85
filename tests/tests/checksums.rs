//! Which digests artifacts have: those of `storage.checksums`.

use millrace_tests::TestApp;
use millrace_tests::client::Answer;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

async fn upload(app: &TestApp, digest: &str, value: &str) -> Answer {
    let form = Form::new()
        .part("file", Part::text("abc").file_name("f"))
        .text(digest.to_owned(), value.to_owned());
    app.send(app.request(Method::POST, "artifacts/").multipart(form))
        .await
}

fn forbidden(digest: &str) -> Value {
    let message = format!("Checksum algorithms ['{digest}'] forbidden for this Pulp instance.");
    json!({"non_field_errors": [message]})
}

#[tokio::test]
async fn artifacts_have_the_digests_that_are_allowed_and_requests_may_give_no_other() {
    let mut app = TestApp::builder()
        .set("storage.checksums", "md5,sha256")
        .workers(1)
        .start()
        .await;
    let refused = upload(&app, "sha512", &"0".repeat(128)).await;
    assert_eq!(refused.expect(400), forbidden("sha512"));
    let artifact = upload(&app, "md5", MD5).await.expect(201);
    assert_eq!(artifact["md5"], MD5);
    for absent in ["sha1", "sha224", "sha384", "sha512"] {
        assert!(artifact[absent].is_null(), "{artifact}");
    }
    // Of a file that comes in pieces too.
    let begun = app.post("uploads/", &json!({"size": 1})).await.expect(201);
    let href = begun["pulp_href"].as_str().unwrap();
    let form = Form::new().part("file", Part::text("a").file_name("f"));
    let request = app.request(Method::PUT, href).multipart(form);
    let request = request.header("Content-Range", "bytes 0-0/1");
    app.send(request).await.expect(200);
    let sha256 = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let body = json!({"sha256": sha256});
    let commit = app.post(&format!("{href}commit/"), &body).await.task();
    let task = app.completed(&commit).await;
    let other = app
        .get(task["created_resources"][0].as_str().unwrap())
        .await;
    assert_eq!(other.expect(200)["md5"], "0cc175b9c0f1b6a831c399e269772661");

    // A digest that comes to be allowed is that of new artifacts; one that no longer is stays where it was.
    app.api.take().unwrap().kill();
    app.set("storage.checksums", "sha256,sha512");
    app.start_api().await;
    assert_eq!(upload(&app, "md5", MD5).await.expect(400), forbidden("md5"));
    let again = app.try_upload(b"abc".to_vec()).await.expect(400);
    let said = again["non_field_errors"][0].as_str().unwrap();
    assert!(said.ends_with("already exists."), "{said}");
    let kept = app
        .get(artifact["pulp_href"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!((&kept["md5"], &kept["sha512"]), (&MD5.into(), &Value::Null));
    let new = app.upload(b"new".to_vec()).await;
    assert!(new["md5"].is_null() && new["sha512"].is_string(), "{new}");
    app.finish().await;
}
