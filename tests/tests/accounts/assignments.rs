//! `users/<id>/roles/` and `groups/<id>/roles/`.

use super::{account, href, people};
use millrace_tests::TestApp;
use millrace_tests::client::id_of;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_role_is_held_everywhere_in_a_domain_and_on_objects() {
    let app = TestApp::start().await;
    let (jane, repository) = (account(&app, "jane").await, app.repository("zoo").await);
    let group = app
        .post("groups/", &json!({"name": "zoo"}))
        .await
        .expect(201);
    let domain = "/pulp/api/v3/domains/00000000-0000-7000-8000-000000000001/";
    let prn = repository["prn"].as_str().unwrap();
    for holder in [href(&jane), href(&group)] {
        let roles = format!("{holder}roles/");
        let everywhere = json!({"role": "file.filerepository_viewer", "content_object": null});
        let held = app.post(&roles, &everywhere).await.expect(201);
        assert!(href(&held).starts_with(&roles), "{held}");
        assert_eq!(
            [&held["content_object"], &held["domain"]],
            [&Value::Null, &Value::Null]
        );
        assert_eq!(held["permissions"], json!(["file.view_filerepository"]));
        assert_eq!(app.get(href(&held)).await.expect(200), held);

        let in_domain = json!({"role": "file.filerepository_viewer", "content_object_prn": null, "domain": domain});
        let held = app.post(&roles, &in_domain).await.expect(201);
        assert_eq!(
            [&held["content_object"], &held["domain"]],
            [&Value::Null, &json!(domain)]
        );

        let on_object =
            json!({"role": "file.filerepository_owner", "content_object": href(&repository)});
        let held = app.post(&roles, &on_object).await.expect(201);
        assert_eq!(
            (&held["content_object"], &held["content_object_prn"]),
            (&repository["pulp_href"], &repository["prn"])
        );
        let by_prn = json!({"role": "file.filerepository_viewer", "content_object_prn": prn});
        app.post(&roles, &by_prn).await.expect(201);
        let on_group = json!({"role": "core.group_viewer", "content_object": href(&group)});
        let held_on_group = app.post(&roles, &on_group).await.expect(201);
        assert_eq!(
            (
                &held_on_group["content_object"],
                &held_on_group["content_object_prn"]
            ),
            (&group["pulp_href"], &group["prn"])
        );

        for (query, count) in [
            (String::new(), 5),
            ("?role=file.filerepository_owner".to_owned(), 1),
            (
                "?role__in=file.filerepository_owner,core.group_viewer".to_owned(),
                2,
            ),
            ("?role__contains=filerepository".to_owned(), 4),
            ("?role__icontains=VIEWER".to_owned(), 4),
            ("?role__startswith=core.".to_owned(), 1),
            ("?content_object=null".to_owned(), 2),
            (format!("?content_object={}", href(&repository)), 2),
            (format!("?content_object={}", href(&group)), 1),
            (format!("?domain={domain}"), 1),
            ("?domain=null".to_owned(), 4),
            (format!("?pulp_href__in={}", href(&held)), 1),
        ] {
            let page = app.get(&format!("{roles}{query}")).await.expect(200);
            assert_eq!(page["count"], count, "{query}: {page}");
        }
        assert_eq!(app.delete(href(&held)).await.status, 204);
        app.get(href(&held)).await.expect(404);
        app.delete(href(&held)).await.expect(404);
    }
    app.finish().await;
}

const VIEWER: &str = "file.filerepository_viewer";

/// A body that is refused, the field at fault, and what is said of it.
type Refused = (Value, &'static str, &'static str);

fn refused(repository: &Value) -> Vec<Refused> {
    let (viewer, object) = (VIEWER, href(repository));
    let domain = "/pulp/api/v3/domains/00000000-0000-7000-8000-000000000001/";
    let already = "The role is already assigned to this user.";
    let (of_all, on_object) = ("non_field_errors", "content_object");
    vec![
        (json!({"role": viewer}), of_all, on_object),
        (json!({"content_object": null}), "role", "required"),
        (
            json!({"role": "nothing", "content_object": null}),
            "role",
            "name=nothing",
        ),
        (
            json!({"role": viewer, "content_object": null}),
            of_all,
            already,
        ),
        (
            json!({"role": viewer, "content_object": object}),
            of_all,
            already,
        ),
        (
            json!({"role": viewer, "content_object": object, "domain": domain}),
            of_all,
            "exclude",
        ),
        (
            json!({"role": viewer, "content_object": object, "content_object_prn": repository["prn"]}),
            of_all,
            "exclude",
        ),
        (
            json!({"role": "core.task_owner", "content_object": object}),
            of_all,
            "permission",
        ),
        (
            json!({"role": "empty", "content_object": object}),
            of_all,
            "permission",
        ),
    ]
}

/// The same for references to what is not there, or is something else.
fn misdirected(repository: &Value, unit: &str) -> Vec<Refused> {
    let (viewer, object, on_object) = (VIEWER, href(repository), "content_object");
    let gone = format!(
        "/pulp/api/v3/repositories/file/file/{}/",
        uuid::Uuid::now_v7()
    );
    // The id of one object under the name of another kind.
    let misnamed = format!("prn:rpm.rpmrepository:{}", id_of(object));
    vec![
        (
            json!({"role": viewer, "content_object": gone}),
            on_object,
            "does not exist",
        ),
        (
            json!({"role": "rpm.rpmrepository_viewer", "content_object_prn": misnamed}),
            "content_object_prn",
            "does not exist",
        ),
        (
            json!({"role": viewer, "content_object": unit}),
            on_object,
            "Incorrect URL",
        ),
        (
            json!({"role": viewer, "content_object": "nothing"}),
            on_object,
            "No URL match",
        ),
        (
            json!({"role": viewer, "content_object_prn": "prn:file.filerepository:x"}),
            "content_object_prn",
            "No URL match",
        ),
        (
            json!({"role": viewer, "content_object": null, "domain": "/pulp/api/v3/domains/x/"}),
            "domain",
            "No URL match",
        ),
        (
            json!({"role": viewer, "content_object": null, "user": 1}),
            "user",
            "Unexpected",
        ),
    ]
}

#[tokio::test]
async fn what_cannot_be_held_is_refused_and_changes_nothing() {
    let app = TestApp::start().await;
    let (jane, repository) = (account(&app, "jane").await, app.repository("zoo").await);
    let roles = format!("{}roles/", href(&jane));
    app.post("roles/", &json!({"name": "empty", "permissions": []}))
        .await
        .expect(201);
    let viewer = VIEWER;
    app.post(&roles, &json!({"role": viewer, "content_object": null}))
        .await
        .expect(201);
    app.post(
        &roles,
        &json!({"role": viewer, "content_object": href(&repository)}),
    )
    .await
    .expect(201);
    let unit = app.unit("a", "text").await;
    let before = people(&app).await;
    let mut all = refused(&repository);
    all.extend(misdirected(&repository, &unit));
    for (body, field, message) in all {
        let refused = app.post(&roles, &body).await.expect(400);
        assert!(
            refused[field].to_string().contains(message),
            "{body}: {refused}"
        );
    }
    for missing in ["users/4711/roles/", "groups/4711/roles/"] {
        app.get(missing).await.expect(404);
        app.post(missing, &json!({"role": viewer, "content_object": null}))
            .await
            .expect(404);
    }
    let others = app.get(&roles).await.expect(200)["results"][0].clone();
    let elsewhere = href(&others).replace(href(&jane), "/pulp/api/v3/users/1/");
    app.get(&elsewhere).await.expect(404);
    app.delete(&elsewhere).await.expect(404);
    assert_eq!(people(&app).await, before);
    app.finish().await;
}

#[tokio::test]
async fn what_goes_takes_the_roles_on_it_and_of_it_along() {
    let app = TestApp::with_workers(1).await;
    let (jane, repository) = (account(&app, "jane").await, app.repository("zoo").await);
    let group = app
        .post("groups/", &json!({"name": "zoo"}))
        .await
        .expect(201);
    let roles = format!("{}roles/", href(&jane));
    for (role, object) in [
        ("file.filerepository_viewer", &repository),
        ("core.group_viewer", &group),
    ] {
        let body = json!({"role": role, "content_object": href(object)});
        app.post(&roles, &body).await.expect(201);
    }
    let mine = app
        .post(
            "roles/",
            &json!({"name": "mine", "permissions": ["core.view_task"]}),
        )
        .await
        .expect(201);
    app.post(&roles, &json!({"role": "mine", "content_object": null}))
        .await
        .expect(201);
    let held = async || app.get(&roles).await.expect(200)["count"].clone();
    assert_eq!(held().await, 3);
    let task = app.delete(href(&repository)).await.task();
    app.completed(&task).await;
    assert_eq!(held().await, 2);
    app.delete(href(&group)).await;
    assert_eq!(held().await, 1);
    app.delete(href(&mine)).await;
    assert_eq!(held().await, 0);
    app.finish().await;
}

#[tokio::test]
async fn an_object_that_is_being_deleted_is_waited_for_and_then_missing() {
    let app = TestApp::start().await;
    let (jane, repository) = (account(&app, "jane").await, app.repository("zoo").await);
    let other = app.db.sql().await;
    let id = id_of(href(&repository));
    other
        .run(&format!(
            "BEGIN; DELETE FROM repository WHERE pulp_id = '{id}'"
        ))
        .await;
    let body = json!({"role": "file.filerepository_viewer", "content_object": href(&repository)});
    let request = app
        .request(Method::POST, &format!("{}roles/", href(&jane)))
        .json(&body);
    let waiting = tokio::spawn(request.send());
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR KEY SHARE%' \
                   AND datname = current_database()";
    millrace_tests::eventually(std::time::Duration::from_secs(20), async || {
        let count = app.sql.number(blocked).await;
        millrace_tests::eventually::holds(count == 1, || format!("{count}"))
    })
    .await;
    other.run("COMMIT").await;
    assert_eq!(waiting.await.unwrap().unwrap().status(), 400);
    assert_eq!(
        app.sql.number("SELECT count(*) FROM role_assignment").await,
        0
    );
    app.finish().await;
}
