//! `content/actions/delete_orphans/`.

use super::{
    DELETE_ORPHANS, ORPHANS, TAG, complete, file, get, grant, post, post_text, result, spawned,
    tasks_in, who_may,
};
use millrace_tests::TestApp;
use serde_json::{Value, json};

fn named(ids: &[&str]) -> Value {
    ids.iter()
        .map(|id| json!({"content_type_id": "file", "unit_id": id}))
        .collect()
}

#[tokio::test]
async fn post_bulk_needs_delete_passes_the_body_and_has_the_action_tag_first() {
    let app = TestApp::with_workers(1).await;
    let deleter = who_may(&app, "deleter", "DELETE").await;
    let reader = who_may(&app, "reader", "READ").await;
    // The permission is one on the action itself.
    let other = super::account(&app, "other").await;
    grant(&app, "other", "/v2/content/orphans/", &["DELETE"]).await;
    let units = [
        file(&app, "one").await,
        file(&app, "two").await,
        file(&app, "kept").await,
    ];
    let body = named(&[&units[0], &units[1]]);
    for refused in [&reader, &other] {
        post(refused, DELETE_ORPHANS, &body).await.expect(401);
    }
    let id = spawned(&post(&deleter, DELETE_ORPHANS, &body).await);
    let task = complete(&app, &id).await;
    assert_eq!(
        task["task_type"],
        "pulp.server.managers.content.orphan.delete_orphans_by_id"
    );
    assert_eq!(task["tags"], json!(["pulp:action:delete_orphans", TAG]));
    assert_eq!(task["result"], json!({"file": 2}));
    get(&app, &format!("{ORPHANS}file/{}/", units[2]))
        .await
        .expect(200);
    grant(&app, "other", "/v2/content/", &["DELETE"]).await;
    post(&other, DELETE_ORPHANS, &named(&[])).await.expect(202);
    app.finish().await;
}

#[tokio::test]
async fn post_bulk_with_no_body_dispatches_an_empty_selection_that_deletes_nothing() {
    let app = TestApp::with_workers(1).await;
    file(&app, "kept").await;
    for body in ["", "[]", " [ ] "] {
        let answer = post_text(&app, DELETE_ORPHANS, body).await;
        assert_eq!(result(&app, &answer).await, json!({}), "{body:?}");
    }
    assert_eq!(get(&app, ORPHANS).await.expect(200)["file"]["count"], 1);
    app.finish().await;
}

#[tokio::test]
async fn bodies_that_are_no_list_of_units_are_refused_and_nothing_is_dispatched() {
    let app = TestApp::start().await;
    for (body, code) in [
        (&b"{"[..], "PLP1009"),
        (b" ", "PLP1009"),
        (b"\"\xff\"", "PLP1009"),
        (b"[\"\xc3\x28\"]", "PLP1009"),
        (b"{}", "PLP1015"),
        (
            b"{\"content_type_id\": \"rpm\", \"unit_id\": \"a\"}",
            "PLP1015",
        ),
        (b"\"a\"", "PLP1015"),
        (b"5", "PLP1015"),
        (b"null", "PLP1015"),
        (b"[null]", "PLP0015"),
        (b"[[]]", "PLP0015"),
        (b"[{\"content_type_id\": \"rpm\"}]", "PLP0015"),
        (b"[{\"unit_id\": \"a\"}]", "PLP0015"),
        (
            b"[{\"content_type_id\": \"rpm\", \"unit_id\": null}]",
            "PLP0015",
        ),
        (b"[{\"content_type_id\": 1, \"unit_id\": \"a\"}]", "PLP0015"),
    ] {
        let answer = post_text(&app, DELETE_ORPHANS, body.to_vec()).await;
        let refused = answer.expect(400);
        assert_eq!(refused["error"]["code"], code, "{body:?}");
        assert_eq!(refused["http_status"], 400);
        assert_eq!(refused["http_request_method"], "POST");
    }
    let refused = post_text(&app, DELETE_ORPHANS, "5").await.expect(400);
    assert_eq!(refused["error"]["data"], json!({"data_type": "list"}));
    assert_eq!(
        refused["error_message"],
        "The JSON data must be of type 'list'."
    );
    let refused = post_text(&app, DELETE_ORPHANS, "{").await.expect(400);
    assert_eq!(
        refused["error_message"],
        "The request body does not contain valid JSON"
    );
    assert_eq!(
        (&refused["error"]["data"], &refused["args"]),
        (&json!({}), &json!([]))
    );
    let refused = post_text(&app, DELETE_ORPHANS, "[1]").await.expect(400);
    let names = json!(["content_type_id", "unit_id"]);
    assert_eq!(refused["property_names"], names);
    assert_eq!(
        refused["error"]["data"],
        json!({"property_names": names, "properties": "['content_type_id', 'unit_id']"})
    );
    assert_eq!(
        refused["error_message"],
        "Invalid properties: ['content_type_id', 'unit_id']"
    );
    assert_eq!(tasks_in(&app).await, 0);
}

#[tokio::test]
async fn unknown_units_are_skipped_and_duplicates_count_once() {
    let app = TestApp::with_workers(1).await;
    let one = file(&app, "one").await;
    let unknown = uuid::Uuid::now_v7().to_string();
    let mut body = named(&[&one, &one, &unknown, "no uuid", "\0"]);
    body[0]["extra"] = json!(["ignored"]);
    let answer = post(&app, DELETE_ORPHANS, &body).await;
    assert_eq!(result(&app, &answer).await, json!({"file": 1}));
    app.finish().await;
}

#[tokio::test]
async fn an_unknown_type_fails_the_task_before_anything_is_deleted() {
    let app = TestApp::with_workers(1).await;
    let one = file(&app, "one").await;
    let mut body = named(&[&one, &one]);
    body[1]["content_type_id"] = json!("nope");
    let id = spawned(&post(&app, DELETE_ORPHANS, &body).await);
    let task = complete(&app, &id).await;
    assert_eq!(task["state"], "error");
    assert_eq!(task["error"]["code"], "PLP0009", "{task:#}");
    assert_eq!(task["result"], Value::Null);
    get(&app, &format!("{ORPHANS}file/{one}/"))
        .await
        .expect(200);
    app.finish().await;
}

#[tokio::test]
async fn a_body_above_the_limit_is_413_and_the_limit_is_a_setting() {
    let app = TestApp::start().await;
    let padding = " ".repeat(5 << 20);
    let answer = post_text(&app, DELETE_ORPHANS, format!("[{padding}]")).await;
    let refused = answer.expect(413);
    assert_eq!(refused["http_status"], 413);
    assert_eq!(refused["error"]["code"], "PLP0000");
    let fits = &padding[2..];
    let answer = post_text(&app, DELETE_ORPHANS, format!("[{fits}]")).await;
    answer.expect(202);

    let app = TestApp::builder()
        .set("api.delete_orphans_limit", 10)
        .start()
        .await;
    let answer = post_text(&app, DELETE_ORPHANS, "[         ]").await;
    answer.expect(413);
    post_text(&app, DELETE_ORPHANS, "[        ]")
        .await
        .expect(202);
}
