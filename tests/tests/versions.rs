//! Repository versions, row by row as the contract's table of edge cases has them (3.1).

mod deletions;
mod failures;
mod listing;
mod model;
mod overwrite;
mod protection;
mod retention;
mod sets;
mod small;

use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use serde_json::{Value, json};
use sets::{Set, base, href, modify, newest, numbers, set};

/// A repository whose version 1 holds the units `a` and `b`, and the unit `c` beside it.
struct Zoo {
    app: TestApp,
    repository: Value,
    a: String,
    b: String,
    c: String,
}

impl Zoo {
    async fn open() -> Self {
        Self::furnish(TestApp::with_workers(1).await).await
    }

    async fn furnish(app: TestApp) -> Self {
        let repository = app.repository("zoo").await;
        let a = app.unit("a", "a").await;
        let b = app.unit("b", "b").await;
        let c = app.unit("c", "c").await;
        app.modify(&repository, &[a.clone(), b.clone()], &[]).await;
        Self {
            app,
            repository,
            a,
            b,
            c,
        }
    }

    async fn modify(&self, body: Value) -> Value {
        modify(&self.app, &self.repository, &body).await
    }

    fn version(&self, number: i64) -> String {
        format!("{}versions/{number}/", href(&self.repository))
    }

    /// The modify made version `number`, and that holds these units, having added and removed so many.
    async fn made(
        &self,
        body: Value,
        number: i64,
        holds: &[&String],
        (added, removed): (i64, i64),
    ) {
        let task = self.modify(body.clone()).await;
        assert_eq!(task["state"], "completed", "{body}: {task:#}");
        assert_eq!(
            task["created_resources"],
            json!([self.version(number)]),
            "{body}"
        );
        let newest = newest(&self.app, &self.repository).await;
        assert_eq!(newest.held(&self.app).await, set(holds), "{body}");
        assert_eq!(
            newest.counts(),
            (added, removed, i64::try_from(holds.len()).unwrap()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_is_there_already_and_what_is_absent_is_ignored() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    zoo.made(
        json!({"add_content_units": [a, c], "remove_content_units": [b]}),
        2,
        &[a, c],
        (1, 1),
    )
    .await;
    zoo.made(
        json!({"add_content_units": [b, b], "remove_content_units": [b, c]}),
        3,
        &[a, b],
        (1, 1),
    )
    .await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn what_changes_nothing_makes_no_version_and_no_created_resource() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    for body in [
        json!({}),
        json!({"add_content_units": [], "remove_content_units": []}),
        json!({"add_content_units": [a, b]}),
        json!({"remove_content_units": [c]}),
        json!({"add_content_units": [a], "remove_content_units": [a]}),
        json!({"add_content_units": [b, a], "remove_content_units": ["*"]}),
        json!({"base_version": zoo.version(1)}),
        json!({"base_version": zoo.version(0), "add_content_units": [a, b]}),
    ] {
        let task = zoo.modify(body.clone()).await;
        assert_eq!(task["state"], "completed", "{body}: {task:#}");
        assert_eq!(task["created_resources"], json!([]), "{body}");
        assert_eq!(task["result"], Value::Null, "{body}");
        assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1], "{body}");
    }
    let rows = "SELECT count(*) FROM repository_version";
    assert_eq!(zoo.app.sql.number(rows).await, 2, "none is left unfinished");
    let body = json!({"add_content_units": [c]});
    zoo.made(body, 2, &[a, b, c], (1, 0)).await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_unit_in_both_lists_stays_where_it_was_and_comes_where_it_was_not() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    zoo.made(
        json!({"add_content_units": [a, c], "remove_content_units": [c, a]}),
        2,
        &[a, b, c],
        (1, 0),
    )
    .await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_star_takes_everything_away_and_leaves_exactly_what_is_added() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    zoo.made(
        json!({"add_content_units": [b, c], "remove_content_units": ["*"]}),
        2,
        &[b, c],
        (1, 1),
    )
    .await;
    zoo.made(json!({"remove_content_units": ["*"]}), 3, &[], (0, 2))
        .await;
    zoo.made(
        json!({"add_content_units": [a], "remove_content_units": ["*"]}),
        4,
        &[a],
        (1, 0),
    )
    .await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_base_version_is_where_to_start_and_the_previous_one_what_to_count_against() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    let d = &zoo.app.unit("d", "d").await;
    zoo.made(
        json!({"add_content_units": [c], "remove_content_units": [a]}),
        2,
        &[b, c],
        (1, 1),
    )
    .await;
    // From {a, b} to {a, d}, where {b, c} was the newest.
    let body = json!({"base_version": zoo.version(1), "add_content_units": [d], "remove_content_units": [b]});
    zoo.made(body, 3, &[a, d], (2, 2)).await;
    let version = newest(&zoo.app, &zoo.repository).await;
    assert_eq!(base(&version), Some(zoo.version(1)));
    // A version may be named by its PRN too.
    let prn = zoo.app.get(&zoo.version(2)).await.expect(200)["prn"].clone();
    zoo.made(json!({"base_version": prn}), 4, &[b, c], (2, 2))
        .await;
    assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1, 2, 3, 4]);
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_star_takes_the_units_of_the_newest_version_from_the_base() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    zoo.made(
        json!({"add_content_units": [c], "remove_content_units": [a]}),
        2,
        &[b, c],
        (1, 1),
    )
    .await;
    // Of {a, b} the newest version, {b, c}, holds `b` only.
    let body = json!({"base_version": zoo.version(1), "remove_content_units": ["*"]});
    zoo.made(body, 3, &[a], (1, 2)).await;
    zoo.made(json!({"add_content_units": [b, c]}), 4, &[a, b, c], (2, 0))
        .await;
    let body = json!({"base_version": zoo.version(2), "remove_content_units": ["*"]});
    zoo.made(body, 5, &[], (0, 3)).await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_version_may_start_from_one_of_another_repository() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    let other = zoo.app.repository("other").await;
    zoo.app.modify(&other, &[c.clone(), b.clone()], &[]).await;
    let start = format!("{}versions/1/", href(&other));
    zoo.made(
        json!({"base_version": start, "add_content_units": [a], "remove_content_units": [b]}),
        2,
        &[a, c],
        (1, 1),
    )
    .await;
    let version = newest(&zoo.app, &zoo.repository).await;
    assert_eq!(base(&version), Some(start));
    assert_eq!(numbers(&zoo.app, &other).await, [0, 1], "untouched");
    zoo.app.finish().await;
}

#[tokio::test]
async fn an_added_unit_takes_the_place_of_the_one_at_its_path() {
    let zoo = Zoo::open().await;
    let b = &zoo.b;
    let newer = &zoo.app.unit("a", "newer").await;
    zoo.made(
        json!({"add_content_units": [newer]}),
        2,
        &[newer, b],
        (1, 1),
    )
    .await;
    // And back, beside a unit that was in the base.
    let a = &zoo.a;
    let body = json!({"base_version": zoo.version(1), "add_content_units": [newer, a]});
    let task = zoo.modify(body).await;
    assert_eq!(task["created_resources"], json!([]), "{task:#}");
    zoo.made(json!({"add_content_units": [a]}), 3, &[a, b], (1, 1))
        .await;
    zoo.app.finish().await;
}

#[tokio::test]
async fn ids_that_lead_to_nothing_are_ignored_by_the_task() {
    let zoo = Zoo::open().await;
    let nobody = uuid::Uuid::now_v7();
    let dispatch = |add: Vec<String>, remove: Vec<String>| {
        json!({"name": "pulpcore.app.tasks.repository.add_and_remove",
               "kwargs": {"repository_pk": id_of(href(&zoo.repository)),
                          "add_content_units": add, "remove_content_units": remove}})
    };
    let only = dispatch(vec![nobody.to_string()], vec![nobody.to_string()]);
    let task = zoo.app.dispatch(&only).await;
    let task = zoo.app.completed(&task).await;
    assert_eq!(task["created_resources"], json!([]));
    let c = id_of(&zoo.c).to_owned();
    let beside = dispatch(vec![nobody.to_string(), c], vec![]);
    let task = zoo.app.dispatch(&beside).await;
    let task = zoo.app.completed(&task).await;
    assert_eq!(task["created_resources"], json!([zoo.version(2)]));
    let prn = zoo.repository["prn"].as_str().unwrap();
    let record = task["reserved_resources_record"].as_array().unwrap();
    assert!(record.contains(&json!(prn)), "exclusive: {record:?}");
    let held = newest(&zoo.app, &zoo.repository).await.held(&zoo.app).await;
    assert_eq!(held, set(&[&zoo.a, &zoo.b, &zoo.c]));

    let nowhere = json!({"name": "pulpcore.app.tasks.repository.add_and_remove",
        "kwargs": {"repository_pk": nobody, "add_content_units": [], "remove_content_units": []}});
    let task = zoo.app.dispatch(&nowhere).await;
    assert_eq!(zoo.app.finished(&task).await["state"], "failed");
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_unit_made_in_a_repository_follows_its_version_in_what_was_created() {
    let zoo = Zoo::open().await;
    let create = async |path: &str, text: &str| {
        let artifact = zoo.app.try_upload(text.as_bytes().to_vec()).await;
        let artifact = match artifact.status.as_u16() {
            201 => artifact.json(),
            _ => {
                let sha = zoo
                    .app
                    .get("artifacts/?ordering=pulp_created")
                    .await
                    .expect(200);
                let all = sha["results"].as_array().unwrap();
                let size = json!(text.len());
                all.iter().find(|a| a["size"] == size).unwrap().clone()
            }
        };
        let form = reqwest::multipart::Form::new()
            .text("artifact", href(&artifact).to_owned())
            .text("relative_path", path.to_owned())
            .text("repository", href(&zoo.repository).to_owned());
        let request = zoo
            .app
            .request(reqwest::Method::POST, "content/file/files/");
        let task = zoo.app.send(request.multipart(form)).await.task();
        zoo.app.completed(&task).await
    };
    let task = create("new", "new one").await;
    let created = task["created_resources"].as_array().unwrap();
    assert_eq!(created.len(), 2, "{task:#}");
    assert_eq!(created[0], json!(zoo.version(2)));
    let unit = zoo.app.get(created[1].as_str().unwrap()).await.expect(200);
    assert_eq!(unit["relative_path"], "new");
    assert_eq!(task["result"], unit);
    let prns: Vec<Value> = vec![
        zoo.app.get(&zoo.version(2)).await.expect(200)["prn"].clone(),
        unit["prn"].clone(),
    ];
    assert_eq!(task["created_resource_prns"], json!(prns));

    // The same once more: the unit is there, and so it is in the repository.
    let task = create("new", "new one").await;
    assert_eq!(task["created_resources"], json!([unit["pulp_href"]]));
    assert_eq!(numbers(&zoo.app, &zoo.repository).await, [0, 1, 2]);

    // Another one of that path takes its place.
    let task = create("new", "newer than new").await;
    assert_eq!(task["created_resources"][0], zoo.version(3));
    let version = newest(&zoo.app, &zoo.repository).await;
    assert_eq!(version.counts(), (1, 1, 3));
    let other = task["created_resources"][1].as_str().unwrap().to_owned();
    let expected: Set = set(&[&zoo.a, &zoo.b, &other]);
    assert_eq!(version.held(&zoo.app).await, expected);
    zoo.app.finish().await;
}
