//! Exporters and records of exports as the API shows them.

use super::shop::{LIST, Shop, href};
use millrace_tests::client::id_of;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_exporter_is_made_shown_changed_and_deleted() {
    let shop = Shop::open(1).await;
    let app = &shop.app;
    let body = json!({"name": "e", "path": shop.at("a")});
    let made = app.post(LIST, &body).await.expect(201);
    let id = id_of(href(&made)).to_owned();
    assert_eq!(href(&made), format!("/pulp/api/v3/{LIST}{id}/"));
    assert_eq!(made["prn"], format!("prn:core.filesystemexporter:{id}"));
    assert_eq!(
        (&made["name"], &made["path"], &made["method"]),
        (&json!("e"), &json!(shop.at("a")), &json!("write"))
    );
    assert_eq!(app.get(href(&made)).await.expect(200), made);
    assert_eq!(app.patch(href(&made), &body).await.expect(200), made);
    let change = json!({"method": "symlink", "path": shop.at("b")});
    let task = app
        .completed(&app.patch(href(&made), &change).await.task())
        .await;
    assert_eq!(task["result"], app.get(href(&made)).await.expect(200));
    assert_eq!(task["result"]["method"], "symlink");
    let put = app.request(Method::PUT, href(&made)).json(&body);
    let task = app.completed(&app.send(put).await.task()).await;
    assert_eq!(task["result"]["method"], "write");
    for (filter, count) in [("name=e", 1), ("name__contains=x", 0), ("ordering=path", 1)] {
        let found = app.get(&format!("{LIST}?{filter}")).await.expect(200);
        assert_eq!(found["count"], count, "{filter}");
    }
    let task = app.completed(&app.delete(href(&made)).await.task()).await;
    assert_eq!(task["name"], "pulpcore.app.tasks.base.ageneral_delete");
    app.get(href(&made)).await.expect(404);
    shop.app.finish().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field() {
    let shop = Shop::open(0).await;
    let exporter = shop.exporter("taken", "write").await;
    let version = shop.add_nothing().await;
    let good = json!({"name": "e", "path": shop.at("a")});
    for (change, field, message) in [
        (json!({"name": null}), "name", "This field may not be null."),
        (
            json!({"name": "taken"}),
            "name",
            "This field must be unique.",
        ),
        (
            json!({"method": "move"}),
            "method",
            "\"move\" is not a valid choice.",
        ),
        (json!({"path": ""}), "path", "This field may not be blank."),
        (
            json!({"path": "a"}),
            "path",
            "Path 'a' is not an allowed export path",
        ),
        (
            json!({"path": "/etc"}),
            "path",
            "Path '/etc' is not an allowed export path",
        ),
        (json!({"last": 1}), "last", "Unexpected field"),
    ] {
        let mut body = good.clone();
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let refusal = shop.app.post(LIST, &body).await.expect(400);
        assert_eq!(refusal[field], json!([message]), "{body}");
    }
    let not_one = "publication or repository_version must either be supplied but not both.";
    let nothing = "Invalid hyperlink - Object does not exist.";
    let gone = format!("{}versions/9/", href(&shop.repository));
    for (body, field, message) in [
        (json!({}), "non_field_errors", not_one),
        (
            json!({"publication": "/x/", "repository_version": version}),
            "non_field_errors",
            not_one,
        ),
        (
            json!({"repository_version": gone}),
            "repository_version",
            nothing,
        ),
        (
            json!({"publication": "x"}),
            "publication",
            "Invalid hyperlink - No URL match.",
        ),
        (
            json!({"publication": version}),
            "publication",
            "Invalid hyperlink - Incorrect URL match.",
        ),
        (
            json!({"repository_version": version, "start_repository_version": gone}),
            "start_repository_version",
            nothing,
        ),
    ] {
        let refusal = shop.ask(&exporter, &body).await.expect(400);
        assert_eq!(refusal[field], json!([message]), "{body}");
    }
    let tasks = "SELECT (SELECT count(*) FROM task) + (SELECT count(*) FROM export)";
    assert_eq!(shop.app.sql.number(tasks).await, 0);
    assert_eq!(shop.app.get(LIST).await.expect(200)["count"], 1);
    shop.app.finish().await;
}

#[tokio::test]
async fn only_administrators_see_exporters() {
    let shop = Shop::open(0).await;
    let exporter = shop.exporter("e", "write").await;
    let somebody = shop.app.somebody().await;
    let exports = format!("{exporter}exports/");
    for path in [LIST, &exporter, &exports] {
        somebody.get(path).await.expect(403);
    }
    for path in [LIST, &exports] {
        // Before it is told what is wrong with the body.
        somebody.post(path, &json!([])).await.expect(403);
    }
    somebody
        .patch(&exporter, &json!({"method": "symlink"}))
        .await
        .expect(403);
    somebody.delete(&exporter).await.expect(403);
    shop.app.finish().await;
}

#[tokio::test]
async fn an_export_is_recorded_and_forgetting_it_touches_no_file() {
    let shop = Shop::open(1).await;
    let version = shop.add(&[("a", "1"), ("b/c", "2")]).await;
    let publication = shop.publish(&version).await;
    let exporter = shop.exporter("out", "write").await;
    let zero = format!("{}versions/0/", href(&shop.repository));
    let body = json!({"publication": publication, "start_repository_version": zero});
    let task = shop.export(&exporter, &body).await;
    assert_eq!(
        task["name"],
        "pulpcore.app.tasks.export.fs_publication_export"
    );
    assert_eq!(task["result"], Value::Null);
    let reserved = task["reserved_resources_record"].as_array().unwrap();
    let repository = id_of(href(&shop.repository));
    for name in [
        format!("prn:core.filesystemexporter:{}", id_of(&exporter)),
        format!("shared:prn:file.filerepository:{repository}"),
    ] {
        assert!(reserved.contains(&json!(name)), "{name}: {task:#}");
    }
    let report = &task["progress_reports"][0];
    assert_eq!(
        json!([
            report["message"],
            report["code"],
            report["total"],
            report["done"],
            report["state"]
        ]),
        json!(["Exporting Artifacts", "export.artifacts", 3, 3, "completed"])
    );
    let export = task["created_resources"][0].as_str().unwrap();
    let shown = shop.app.get(export).await.expect(200);
    let id = id_of(export);
    assert_eq!(export, format!("{exporter}exports/{id}/"));
    let start = shop
        .app
        .sql
        .text("SELECT pulp_id::text FROM repository_version WHERE number = 0")
        .await;
    assert_eq!(
        shown,
        json!({
            "pulp_href": export,
            "prn": format!("prn:core.filesystemexport:{id}"),
            "pulp_created": shown["pulp_created"],
            "pulp_last_updated": shown["pulp_last_updated"],
            "task": task["pulp_href"],
            "exported_resources": [publication],
            "params": {"publication": id_of(&publication), "start_repository_version": start},
        })
    );
    assert_eq!(task["created_resource_prns"], json!([shown["prn"]]));
    let exports = format!("{exporter}exports/");
    assert_eq!(shop.app.hrefs(&exports).await, [export]);
    let other = shop.exporter("other", "write").await;
    assert_eq!(shop.app.hrefs(&format!("{other}exports/")).await, [""; 0]);
    shop.app
        .get(&export.replace(id_of(&exporter), id_of(&other)))
        .await
        .expect(404);
    shop.app.delete(export).await.expect(204);
    shop.app.get(export).await.expect(404);
    let files = super::shop::tree(&shop.at("out"));
    assert_eq!(files.len(), 3);
    // One that failed stays recorded, and goes with its exporter.
    shop.fails(&exporter, &body).await;
    assert_eq!(shop.app.hrefs(&exports).await.len(), 1);
    shop.app
        .completed(&shop.app.delete(&exporter).await.task())
        .await;
    assert_eq!(shop.app.sql.number("SELECT count(*) FROM export").await, 0);
    assert_eq!(super::shop::tree(&shop.at("out")), files);
    shop.app.finish().await;
}

impl Shop {
    /// The version that every repository begins with.
    async fn add_nothing(&self) -> String {
        format!("{}versions/0/", href(&self.repository))
    }
}
