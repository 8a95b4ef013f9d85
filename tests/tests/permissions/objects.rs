//! Repositories, remotes, publications, distributions and uploads.

use super::*;
use reqwest::Method;

#[tokio::test]
async fn nobody_sees_or_makes_anything_without_a_role() {
    let app = TestApp::with_workers(1).await;
    let somebody = app.somebody().await;
    let repository = app.repository("zoo").await;
    let remote = remote(&app, "there").await;
    let publication = published(&app, href(&repository)).await;
    let body = json!({"name": "d", "base_path": "d", "publication": publication});
    let task = app.post(DISTRIBUTIONS, &body).await.task();
    let distribution = app.completed(&task).await["created_resources"][0].clone();
    let upload = app.post("uploads/", &json!({"size": 5})).await.expect(201);
    let version = format!("{}versions/0/", href(&repository));
    for (lists, object) in [
        ([REPOSITORIES, "repositories/"], href(&repository)),
        ([REMOTES, "remotes/"], href(&remote)),
        ([PUBLICATIONS, "publications/"], publication.as_str()),
        (
            [DISTRIBUTIONS, "distributions/"],
            distribution.as_str().unwrap(),
        ),
        (["uploads/", "uploads/"], href(&upload)),
        (["repository_versions/", "repository_versions/"], &version),
    ] {
        for list in lists {
            assert_ne!(app.hrefs(list).await, Vec::<String>::new(), "{list}");
            is_hidden(&somebody, list, object).await;
        }
        for method in [Method::PATCH, Method::PUT, Method::DELETE] {
            let request = somebody.request(method.clone(), object).json(&json!({}));
            let answer = somebody.send(request).await;
            assert!(
                [404, 405].contains(&answer.status.as_u16()),
                "{method} {object}: {answer:?}"
            );
        }
    }
    for list in [
        REPOSITORIES,
        REMOTES,
        PUBLICATIONS,
        DISTRIBUTIONS,
        "uploads/",
    ] {
        // Whatever is sent: it is not even read.
        for body in [json!({"name": "mine"}), json!([])] {
            somebody.post(list, &body).await.expect(403);
        }
    }
    let versions = format!("{}versions/", href(&repository));
    somebody.get(&versions).await.expect(404);
    app.finish().await;
}

#[tokio::test]
async fn a_viewer_sees_and_changes_nothing() {
    let app = TestApp::start().await;
    let (zoo, farm) = (app.repository("zoo").await, app.repository("farm").await);
    let one = app.person("one").await;
    let all = app.person("all").await;
    let member = app.person("member").await;
    let group = app.group("keepers", &["member"]).await;
    let viewer = "file.filerepository_viewer";
    app.grant("one", viewer, Some(href(&zoo))).await;
    app.grant("all", viewer, None).await;
    let body = json!({"role": viewer, "content_object": href(&farm)});
    let roles = format!("{}roles/", href(&group));
    app.post(&roles, &body).await.expect(201);

    for list in [REPOSITORIES, "repositories/"] {
        assert_eq!(one.hrefs(list).await, [href(&zoo)]);
        assert_eq!(member.hrefs(list).await, [href(&farm)]);
        assert_eq!(all.hrefs(list).await, [href(&farm), href(&zoo)]);
    }
    one.get(href(&farm)).await.expect(404);
    one.get(href(&zoo)).await.expect(200);
    assert_eq!(
        one.hrefs("repository_versions/").await,
        [format!("{}versions/0/", href(&zoo))]
    );
    one.get(&format!("{}versions/0/", href(&zoo)))
        .await
        .expect(200);
    for refused in [
        one.patch(href(&zoo), &json!({"name": "mine"})).await,
        one.delete(href(&zoo)).await,
        one.post(&format!("{}modify/", href(&zoo)), &json!({}))
            .await,
        one.post(&format!("{}sync/", href(&zoo)), &json!({})).await,
        one.post(&format!("{}versions/0/repair/", href(&zoo)), &json!({}))
            .await,
        one.delete(&format!("{}versions/0/", href(&zoo))).await,
        one.post(
            &format!("{}set_label/", href(&zoo)),
            &json!({"key": "k", "value": "v"}),
        )
        .await,
        one.get(&format!("{}list_roles/", href(&zoo))).await,
        all.post(REPOSITORIES, &json!({"name": "new"})).await,
    ] {
        refused.expect(403);
    }
    // What is taken away counts no more from the next request on.
    let gone = json!({"role": viewer, "users": ["one"]});
    app.post(&format!("{}remove_role/", href(&zoo)), &gone)
        .await
        .expect(201);
    is_hidden(&one, REPOSITORIES, href(&zoo)).await;
    assert_eq!(app.sql.number("SELECT count(*) FROM task").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn who_makes_something_owns_it_and_nobody_else_sees_it() {
    let app = TestApp::with_workers(1).await;
    let maker = app.person("maker").await;
    let other = app.person("other").await;
    for noun in ["repository", "remote", "publication", "distribution"] {
        app.grant("maker", &format!("file.file{noun}_creator"), None)
            .await;
        app.grant("other", &format!("file.file{noun}_creator"), None)
            .await;
    }
    app.grant("maker", "core.upload_creator", None).await;
    let repository = maker.repository("zoo").await;
    let remote = remote(&maker, "there").await;
    let upload = maker
        .post("uploads/", &json!({"size": 5}))
        .await
        .expect(201);
    let task = maker
        .post(PUBLICATIONS, &json!({"repository": href(&repository)}))
        .await;
    let task = maker.completed(&task.task()).await;
    let publication = task["created_resources"][0].as_str().unwrap().to_owned();
    let body = json!({"name": "d", "base_path": "d", "publication": publication});
    let task = maker
        .completed(&maker.post(DISTRIBUTIONS, &body).await.task())
        .await;
    let distribution = task["created_resources"][0].as_str().unwrap().to_owned();
    for (list, object) in [
        (REPOSITORIES, href(&repository)),
        (REMOTES, href(&remote)),
        ("uploads/", href(&upload)),
        (PUBLICATIONS, &publication),
        (DISTRIBUTIONS, &distribution),
    ] {
        assert_eq!(maker.hrefs(list).await, [object]);
        is_hidden(&other, list, object).await;
        let roles = maker.get(&format!("{object}list_roles/")).await.expect(200);
        let owner = &roles["roles"][0];
        assert!(
            owner["role"].as_str().unwrap().ends_with("_owner"),
            "{roles}"
        );
        assert_eq!(owner["users"], json!(["maker"]));
    }
    let noted =
        "SELECT count(*) FROM audit_entry WHERE action = 'assignment.create' AND actor = 'maker'";
    assert_eq!(app.sql.number(noted).await, 5);
    let body = json!({"name": "theirs", "remote": href(&remote)});
    let refused = other.post(REPOSITORIES, &body).await.expect(400);
    let no_object = json!(["Invalid hyperlink - Object does not exist."]);
    assert_eq!(refused, json!({"remote": no_object}));
    for (field, reference) in [
        ("publication", publication.as_str()),
        ("repository", href(&repository)),
        (
            "repository_version",
            &format!("{}versions/0/", href(&repository)),
        ),
    ] {
        let mut body = json!({"name": "e", "base_path": "e"});
        body[field] = json!(reference);
        let refused = other.post(DISTRIBUTIONS, &body).await.expect(400);
        assert_eq!(refused, json!({field: no_object}));
    }
    let refused = other
        .post(PUBLICATIONS, &json!({"repository": href(&repository)}))
        .await;
    assert_eq!(refused.expect(400), json!({"repository": no_object}));

    let renamed = maker
        .patch(href(&repository), &json!({"name": "ark"}))
        .await;
    maker.completed(&renamed.task()).await;
    maker.delete(&publication).await.expect(204);
    for object in [&distribution, href(&remote), href(&repository)] {
        let task = maker.delete(object).await.task();
        maker.completed(&task).await;
    }
    maker.delete(href(&upload)).await.expect(204);
    let left = "SELECT count(*) FROM role_assignment WHERE object_id IS NOT NULL";
    assert_eq!(app.sql.number(left).await, 0, "roles go with their objects");
    app.finish().await;
}

#[tokio::test]
async fn who_may_synchronize_needs_the_remote_too() {
    let app = TestApp::with_workers(1).await;
    let remote = remote(&app, "there").await;
    let body = json!({"name": "zoo", "remote": href(&remote)});
    let zoo = app.post(REPOSITORIES, &body).await.expect(201);
    let owner = app.person("owner").await;
    app.grant("owner", "file.filerepository_owner", Some(href(&zoo)))
        .await;
    let sync = format!("{}sync/", href(&zoo));
    owner.post(&sync, &json!({})).await.expect(403);
    let named = owner.post(&sync, &json!({"remote": href(&remote)})).await;
    let no_object = json!(["Invalid hyperlink - Object does not exist."]);
    assert_eq!(named.expect(400), json!({"remote": no_object}));
    app.grant("owner", "file.fileremote_viewer", Some(href(&remote)))
        .await;
    for body in [json!({}), json!({"remote": href(&remote)})] {
        let task = owner.post(&sync, &body).await.task();
        // Nothing is there: that it ran is what counts.
        owner.finished(&task).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn a_base_path_that_overlaps_a_hidden_one_does_not_tell_its_name() {
    let app = TestApp::with_workers(1).await;
    let body = json!({"name": "secret", "base_path": "shop/here"});
    let task = app.post(DISTRIBUTIONS, &body).await.task();
    let hidden = app.completed(&task).await["created_resources"][0].clone();
    let maker = app.person("maker").await;
    app.grant("maker", "file.filedistribution_creator", None)
        .await;
    let body = json!({"name": "mine", "base_path": "shop"});
    let overlaps = |text: &str| json!({"base_path": {"base_path": text}});
    assert_eq!(
        maker.post(DISTRIBUTIONS, &body).await.expect(400),
        overlaps("Overlaps with another distribution")
    );
    app.grant("maker", "file.filedistribution_viewer", hidden.as_str())
        .await;
    assert_eq!(
        maker.post(DISTRIBUTIONS, &body).await.expect(400),
        overlaps("Overlaps with existing distribution 'secret'")
    );
    app.finish().await;
}
