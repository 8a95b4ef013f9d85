//! No version holds two packages in one place.

use super::{finished, href, repository, unit};
use millrace_tests::eventually::holds;
use millrace_tests::packages::Recipe;
use millrace_tests::{TestApp, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const DEFAULT: &str = "gwt-1-1.fc16.noarch.rpm";

/// The same but for the epoch, which the default path leaves out.
fn later() -> Recipe {
    Recipe {
        epoch: 1,
        ..Recipe::new("gwt", "1")
    }
}

/// What a failed run left is looked for once a second.
async fn open() -> TestApp {
    let app = TestApp::builder().workers(1).set("worker.sweep_seconds", 1);
    app.start().await
}

fn assert_refused(task: &Value, about: &str) {
    assert_eq!(task["state"], "failed", "{task:#}");
    assert_eq!(task["created_resources"], json!([]));
    let text = format!("Repository version errors : Path errors found. {about}");
    assert_eq!(task["error"]["description"], text);
}

/// How many versions there are, and soon there is no draft of another one.
async fn versions(app: &TestApp, repository: &Value) -> usize {
    eventually(Duration::from_secs(20), async || {
        let drafts = "SELECT count(*) FROM repository_version WHERE NOT complete";
        let drafts = app.sql.number(drafts).await;
        holds(drafts == 0, || format!("{drafts} drafts"))
    })
    .await;
    app.hrefs(&format!("{}versions/", href(repository)))
        .await
        .len()
}

#[tokio::test]
async fn a_package_made_into_a_repository_that_has_its_path_is_refused_and_leaves_nothing() {
    let app = open().await;
    let zoo = repository(&app, "zoo").await;
    let address = href(&zoo);
    let into = [("repository", address.as_str())];
    unit(&app, &Recipe::new("gwt", "1").build(), &into).await;
    let task = finished(&app, &later().build(), &into).await;
    assert_refused(&task, &format!("{DEFAULT} is a path of several units"));
    assert_eq!(versions(&app, &zoo).await, 2);
    assert_eq!(app.sql.number("SELECT count(*) FROM content").await, 1);
    super::files_are(&app, 1).await;
    // Elsewhere there is room for it.
    let fields = [into[0], ("relative_path", "e1/gwt.rpm")];
    unit(&app, &later().build(), &fields).await;
    assert_eq!(versions(&app, &zoo).await, 3);
    app.finish().await;
}

#[tokio::test]
async fn a_version_with_two_packages_in_one_place_is_refused() {
    let app = open().await;
    let zoo = repository(&app, "zoo").await;
    let made = async |name, path: &str| {
        let bytes = Recipe::new(name, "1").build();
        href(&unit(&app, &bytes, &[("relative_path", path)]).await)
    };
    let modify = async |add: &[&String], remove: &[&String]| {
        let body = json!({"add_content_units": add, "remove_content_units": remove});
        let modify = format!("{}modify/", href(&zoo));
        let task = app.post(&modify, &body).await.task();
        app.finished(&task).await
    };
    let (one, same) = (made("one", "p/a").await, made("same", "p/a").await);
    let (below, above) = (made("below", "p/a/b/c").await, made("above", "p").await);
    let (near, nearer) = (made("near", "p/a0").await, made("nearer", "p/a-b").await);
    let twice = "p/a is a path of several units";
    let over = "p/a is a directory of p/a/b/c";
    for (first, second, about) in [
        (&one, &same, twice),
        (&one, &below, over),
        (&one, &above, "p is a directory of p/a"),
    ] {
        for add in [[first, second], [second, first]] {
            let task = modify(&add, &[]).await;
            let text = task["error"]["description"].to_string();
            assert!(text.contains(about), "{text}");
        }
    }
    assert_eq!(versions(&app, &zoo).await, 1);
    let task = modify(&[&one, &near, &nearer], &[]).await;
    assert_eq!(task["state"], "completed", "{task:#}");
    for (add, about) in [
        (&same, twice),
        (&below, over),
        (&above, "p is a directory of p/a"),
    ] {
        let task = modify(&[add], &[]).await;
        let text = task["error"]["description"].as_str().unwrap();
        assert!(text.contains(about), "{text}");
        assert_eq!(versions(&app, &zoo).await, 2);
    }
    // In place of the other it may, and so may one that is named alike.
    let task = modify(&[&below], &[&one]).await;
    assert_eq!(task["state"], "completed", "{task:#}");
    let rebuilt = Recipe {
        content: "rebuilt",
        ..Recipe::new("below", "1")
    };
    let address = href(&zoo);
    let fields = [("repository", address.as_str()), ("relative_path", "p/a")];
    unit(&app, &rebuilt.build(), &fields).await;
    assert_eq!(versions(&app, &zoo).await, 4);
    app.finish().await;
}
