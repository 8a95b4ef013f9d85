//! Publications: made, listed, deleted, and what their manifests say.

mod autopublish;

use millrace_common::content::key_of;
use millrace_tests::app::files_below;
use millrace_tests::client::id_of;
use millrace_tests::eventually::holds;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

pub const LIST: &str = "publications/file/file/";

pub fn href(object: &Value) -> &str {
    object["pulp_href"].as_str().unwrap()
}

/// Publishes with this body and waits for it; gives the publication.
pub async fn publish(app: &TestApp, body: &Value) -> Value {
    let task = app.post(LIST, body).await.task();
    let task = app.completed(&task).await;
    let made = &task["created_resources"][0];
    let shown = app.get(made.as_str().unwrap()).await.expect(200);
    assert_eq!(task["result"], shown, "{task:#}");
    shown
}

/// The lines of the metadata file that a publication has under this path.
pub async fn manifest(app: &TestApp, publication: &Value, path: &str) -> Vec<String> {
    let key = app
        .sql
        .text(&format!(
            "SELECT a.storage_key FROM published_artifact p \
               JOIN content_artifact ca ON ca.pulp_id = p.content_artifact_id \
               JOIN artifact a ON a.pulp_id = ca.artifact_id \
              WHERE p.publication_id = '{}' AND p.relative_path = '{path}'",
            id_of(href(publication))
        ))
        .await;
    let text = std::fs::read_to_string(app.media().join(key)).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(str::to_owned).collect()
}

/// The line of a unit in a manifest.
pub fn line(path: &str, text: &str) -> String {
    let digest = key_of(&[text]).unwrap();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{path},{digest},{}", text.len())
}

#[tokio::test]
async fn a_version_is_published_with_a_manifest_that_names_the_newest_unit_first() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let mut units = Vec::new();
    for (path, text) in [("b", "two"), ("a,1", "one"), ("c/d", "")] {
        units.push(app.unit(path, text).await);
    }
    app.modify(&repository, &units, &[]).await;
    app.modify(&repository, &[], &units[..1]).await;
    let zoo = href(&repository);
    let first = format!("{zoo}versions/1/");
    let answer = app.post(LIST, &json!({"repository_version": first})).await;
    let task = app.completed(&answer.task()).await;
    let shared = task["reserved_resources_record"].as_array().unwrap();
    let expected = json!(format!("shared:prn:file.filerepository:{}", id_of(zoo)));
    assert!(shared.contains(&expected), "{task:#}");
    let one = task["result"].clone();
    assert_eq!(
        one,
        json!({
            "pulp_href": href(&one),
            "prn": format!("prn:file.filepublication:{}", id_of(href(&one))),
            "pulp_created": one["pulp_created"],
            "pulp_last_updated": one["pulp_last_updated"],
            "repository_version": first,
            "repository": zoo,
            "distributions": [],
            "manifest": "PULP_MANIFEST",
            "checkpoint": false,
        })
    );
    assert_eq!(task["created_resources"], json!([href(&one)]));
    assert_eq!(
        manifest(&app, &one, "PULP_MANIFEST").await,
        [line("c/d", ""), line("a,1", "one"), line("b", "two")]
    );

    let body = json!({"repository": zoo, "manifest": "lists/all", "checkpoint": true});
    let two = publish(&app, &body).await;
    assert_eq!(two["repository_version"], format!("{zoo}versions/2/"));
    assert_eq!(
        (&two["manifest"], &two["checkpoint"]),
        (&json!("lists/all"), &json!(true))
    );
    assert_eq!(
        manifest(&app, &two, "lists/all").await,
        [line("c/d", ""), line("a,1", "one")]
    );
    let bare = json!({"repository_version": format!("prn:core.repositoryversion:{}",
        app.sql.text("SELECT pulp_id::text FROM repository_version WHERE number = 0").await),
        "manifest": null});
    let three = publish(&app, &bare).await;
    assert_eq!(three["manifest"], Value::Null);
    let files = "SELECT count(*) FROM published_artifact";
    assert_eq!(app.sql.number(files).await, 2);
    assert_found(&app, &repository, &units, [&one, &two, &three]).await;
    app.finish().await;
}

/// The lists find the three publications of versions 1, 2 and 0 by what they are.
async fn assert_found(app: &TestApp, zoo: &Value, units: &[String], all: [&Value; 3]) {
    let [one, two, three] = all.map(|one| href(one).to_owned());
    let zoo = href(zoo);
    let (gone, there) = (&units[0], &units[1]);
    for (query, expected) in [
        (String::new(), vec![&three, &two, &one]),
        (format!("repository={zoo}"), vec![&three, &two, &one]),
        (format!("repository_version={zoo}versions/1/"), vec![&one]),
        (format!("content={gone}"), vec![&one]),
        (format!("content={there}"), vec![&two, &one]),
        (format!("content__in={gone},{there}"), vec![&two, &one]),
        ("checkpoint=true".to_owned(), vec![&two]),
        ("pulp_created__gt=2100-01-01".to_owned(), vec![]),
        (format!("pulp_href__in={one},{three}"), vec![&three, &one]),
        (
            format!("q=checkpoint=false AND content=\"{there}\""),
            vec![&one],
        ),
    ] {
        for list in ["publications/", LIST] {
            let found = app.hrefs(&format!("{list}?{query}")).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{list}?{query}");
        }
    }
    let generic = app.get("publications/").await.expect(200)["results"][0].clone();
    for (field, value) in generic.as_object().unwrap() {
        assert_eq!(value, &all[2][field], "{field}");
    }
    // What stands for the manifests is no unit of anybody's.
    assert_eq!(app.hrefs("content/").await.len(), units.len());
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_by_field() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    let zoo = href(&repository);
    let version = format!("{zoo}versions/0/");
    let either = "Either the 'repository' or 'repository_version' need to be specified";
    let nothing = "Invalid hyperlink - Object does not exist.";
    for (body, field, message) in [
        (json!({}), "non_field_errors", either),
        (
            json!({"repository": zoo, "repository_version": version}),
            "non_field_errors",
            &format!("{either} but not both."),
        ),
        (
            json!({"repository_version": version, "checkpoint": true}),
            "non_field_errors",
            "'checkpoint' may only be used with 'repository'",
        ),
        (
            json!({"repository_version": format!("{zoo}versions/1/")}),
            "repository_version",
            nothing,
        ),
        (
            json!({"repository": zoo.replace('0', "1")}),
            "repository",
            nothing,
        ),
        (
            json!({"repository": version}),
            "repository",
            "Invalid hyperlink - Incorrect URL match.",
        ),
        (
            json!({"repository": "x"}),
            "repository",
            "Invalid hyperlink - No URL match.",
        ),
        (
            json!({"repository": zoo, "manifest": "a//b"}),
            "manifest",
            "Relative path is not in canonical form. a//b",
        ),
        (
            json!({"repository": zoo, "checkpoint": "x"}),
            "checkpoint",
            "Must be a valid boolean.",
        ),
        (
            json!({"repository": zoo, "odd": 1}),
            "odd",
            "Unexpected field",
        ),
    ] {
        let answer = app.post(LIST, &body).await;
        assert_eq!(answer.expect(400), json!({ field: [message] }), "{body}");
    }
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_version_that_is_deleted_before_it_is_published_leaves_nothing() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let unit = app.unit("a", "one").await;
    app.modify(&repository, &[unit], &[]).await;
    let lane = format!("prn:file.filerepository:{}", id_of(href(&repository)));
    let before = app.sleeper(60.0, &[&lane]).await;
    let task = app
        .post(LIST, &json!({"repository": href(&repository)}))
        .await
        .task();
    app.sql
        .run("DELETE FROM repository_version WHERE number = 1")
        .await;
    app.cancel(&before).await;
    let task = app.finished(&task).await;
    assert_eq!(task["state"], "failed");
    let text = task["error"]["description"].as_str().unwrap();
    assert!(text.contains("RepositoryVersion"), "{text}");
    assert_eq!(task["created_resources"], json!([]));
    assert_eq!(app.sql.number("SELECT count(*) FROM publication").await, 0);
    assert_eq!(app.sql.number("SELECT count(*) FROM intent").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_publication_is_deleted_at_once_and_its_manifest_is_an_orphan_then() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let unit = app.unit("a", "one").await;
    app.modify(&repository, &[unit], &[]).await;
    let body = json!({"repository": href(&repository)});
    let (one, two) = (publish(&app, &body).await, publish(&app, &body).await);
    // Both manifests say the same: one file. The copy goes after its task.
    eventually(Duration::from_secs(20), async || {
        let files = files_below(&app.media());
        holds(files.len() == 2, || format!("{files:?}"))
    })
    .await;
    let clean_up = async || {
        let task = app
            .post("orphans/cleanup/", &json!({"orphan_protection_time": 0}))
            .await
            .task();
        app.completed(&task).await
    };
    clean_up().await;
    assert_eq!(
        manifest(&app, &two, "PULP_MANIFEST").await,
        [line("a", "one")]
    );
    assert_eq!(app.delete(href(&one)).await.status, 204);
    assert_eq!(app.get(href(&one)).await.status, 404);
    assert_eq!(app.delete(href(&one)).await.status, 404);
    clean_up().await;
    assert_eq!(
        manifest(&app, &two, "PULP_MANIFEST").await,
        [line("a", "one")]
    );
    assert_eq!(app.delete(href(&two)).await.status, 204);
    let metadata = "SELECT count(*) FROM content WHERE pulp_type = 'core.publishedmetadata'";
    assert_eq!(app.sql.number(metadata).await, 0);
    clean_up().await;
    assert_eq!(files_below(&app.media()).len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn what_was_not_downloaded_is_named_as_its_newest_source_says() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let (here, away) = (app.unit("here", "one").await, app.unit("away", "two").await);
    app.modify(&repository, &[here, away.clone()], &[]).await;
    app.sql
        .run(&format!(
            "UPDATE content_artifact SET artifact_id = NULL WHERE content_id = '{}'",
            id_of(&away)
        ))
        .await;
    let body = json!({"repository": href(&repository)});
    let task = app.post(LIST, &body).await.task();
    let task = app.finished(&task).await;
    let text = task["error"]["description"].as_str().unwrap();
    assert!(text.contains("'away' cannot be published"), "{task:#}");
    assert_eq!(app.sql.number("SELECT count(*) FROM publication").await, 0);

    app.sql
        .run(
            "INSERT INTO remote (pulp_id, pulp_domain, pulp_type, name, url) \
             SELECT gen_random_uuid(), pulp_id, 'file.file', n, 'http://h/' FROM domain, \
                    unnest('{old,new}'::text[]) n; \
             INSERT INTO remote_artifact (pulp_id, content_artifact_id, remote_id, url, size, sha256) \
             SELECT CASE r.name WHEN 'old' THEN '0199e6a0-0000-7000-8000-000000000001'::uuid \
                                ELSE '0199e6a0-0000-7000-8000-000000000002' END, \
                    ca.pulp_id, r.pulp_id, 'http://h/away', CASE r.name WHEN 'old' THEN 1 ELSE 77 END, \
                    repeat(CASE r.name WHEN 'old' THEN 'a' ELSE 'b' END, 64) \
               FROM content_artifact ca, remote r WHERE ca.artifact_id IS NULL",
        )
        .await;
    let made = publish(&app, &body).await;
    let away = format!("away,{},77", "b".repeat(64));
    assert_eq!(
        manifest(&app, &made, "PULP_MANIFEST").await,
        [away, line("here", "one")]
    );
    app.finish().await;
}
