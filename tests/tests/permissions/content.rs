//! Units and what is theirs: seen by the repositories that they are in.

use super::*;
use reqwest::Method;
use reqwest::multipart::{Form, Part};

const FILES: &str = "content/file/files/";

#[tokio::test]
async fn units_are_seen_by_their_repositories() {
    let app = TestApp::with_workers(1).await;
    let (zoo, farm) = (app.repository("zoo").await, app.repository("farm").await);
    let (cat, cow) = (app.unit("cat", "c").await, app.unit("cow", "o").await);
    let orphan = app.unit("dodo", "d").await;
    app.modify(&zoo, std::slice::from_ref(&cat), &[]).await;
    app.modify(&farm, std::slice::from_ref(&cow), &[]).await;
    let one = app.person("one").await;
    for list in [FILES, "content/"] {
        is_hidden(&one, list, &cat).await;
    }
    app.grant("one", "file.filerepository_viewer", Some(href(&zoo)))
        .await;
    for list in [FILES, "content/"] {
        assert_eq!(one.hrefs(list).await, [cat.as_str()], "{list}");
        for (repository, count) in [(&zoo, 1), (&farm, 0)] {
            let of = format!("{list}?repository_version={}versions/1/", href(repository));
            assert_eq!(one.get(&of).await.expect(200)["count"], count, "{of}");
        }
    }
    one.get(&cat).await.expect(200);
    for hidden in [&cow, &orphan] {
        one.get(hidden).await.expect(404);
    }
    // Also of what is in no version any more.
    app.modify(&zoo, &[], std::slice::from_ref(&cat)).await;
    one.get(&cat).await.expect(200);
    let all = app.person("all").await;
    app.grant("all", "file.filerepository_viewer", None).await;
    assert_eq!(all.hrefs(FILES).await, [cow.as_str(), &cat], "no orphans");
    app.finish().await;
}

#[tokio::test]
async fn who_modifies_a_repository_names_what_he_sees() {
    let app = TestApp::with_workers(1).await;
    let (zoo, farm) = (app.repository("zoo").await, app.repository("farm").await);
    let (cat, dodo) = (app.unit("cat", "c").await, app.unit("dodo", "d").await);
    app.modify(&farm, std::slice::from_ref(&cat), &[]).await;
    let keeper = app.person("keeper").await;
    app.grant("keeper", "file.filerepository_owner", Some(href(&zoo)))
        .await;
    let modify = format!("{}modify/", href(&zoo));
    for unit in [&cat, &dodo] {
        let refused = keeper
            .post(&modify, &json!({"add_content_units": [unit]}))
            .await;
        let message = format!("Could not find the following content units: ['{unit}']");
        assert_eq!(refused.expect(400), json!({"add_content_units": [message]}));
    }
    let base = json!({"base_version": format!("{}versions/1/", href(&farm))});
    let no_object = json!(["Invalid hyperlink - Object does not exist."]);
    assert_eq!(
        keeper.post(&modify, &base).await.expect(400),
        json!({"base_version": no_object})
    );
    app.grant("keeper", "file.filerepository_viewer", Some(href(&farm)))
        .await;
    let task = keeper
        .post(&modify, &json!({"add_content_units": [cat]}))
        .await
        .task();
    keeper.completed(&task).await;
    // Who uploads units without a repository may put into one what is in none.
    app.grant("keeper", "file.file_uploader", None).await;
    let task = keeper
        .post(&modify, &json!({"add_content_units": [dodo]}))
        .await
        .task();
    keeper.completed(&task).await;
    app.finish().await;
}

fn form(path: &str, repository: Option<&str>) -> Form {
    let part = Part::text(path.to_owned()).file_name("f");
    let form = Form::new()
        .text("relative_path", path.to_owned())
        .part("file", part);
    match repository {
        Some(repository) => form.text("repository", repository.to_owned()),
        None => form,
    }
}

#[tokio::test]
async fn units_are_made_for_repositories_that_may_be_modified() {
    let app = TestApp::with_workers(1).await;
    let zoo = app.repository("zoo").await;
    let keeper = app.person("keeper").await;
    let post = async |form: Form| {
        keeper
            .send(keeper.request(Method::POST, FILES).multipart(form))
            .await
    };
    let no_object = json!(["Invalid hyperlink - Object does not exist."]);
    post(form("cat", Some(href(&zoo)))).await.expect(403);
    let own = app.repository("own").await;
    app.grant("keeper", "file.filerepository_owner", Some(href(&own)))
        .await;
    let refused = post(form("cat", Some(href(&zoo)))).await.expect(400);
    assert_eq!(refused, json!({"repository": no_object}));
    app.grant("keeper", "file.filerepository_viewer", Some(href(&zoo)))
        .await;
    post(form("cat", Some(href(&zoo)))).await.expect(403);
    app.grant("keeper", "file.filerepository_owner", Some(href(&zoo)))
        .await;
    let task = post(form("cat", Some(href(&zoo)))).await.task();
    keeper.completed(&task).await;
    assert_eq!(keeper.hrefs(FILES).await.len(), 1);

    let artifact = app.upload(b"secret".to_vec()).await;
    let named = Form::new()
        .text("relative_path", "stolen")
        .text("artifact", href(&artifact).to_owned())
        .text("repository", href(&zoo).to_owned());
    assert_eq!(
        post(named).await.expect(400),
        json!({"artifact": no_object})
    );

    keeper.try_unit("dog", "d", None).await.expect(403);
    app.grant("keeper", "file.file_uploader", None).await;
    keeper.try_unit("dog", "d", None).await.expect(201);
    app.finish().await;
}

#[tokio::test]
async fn a_file_that_may_not_come_is_not_stored() {
    let app = TestApp::start().await;
    let (zoo, farm) = (app.repository("zoo").await, app.repository("farm").await);
    let (nobody, keeper) = (app.person("nobody").await, app.person("keeper").await);
    app.grant("keeper", "file.filerepository_owner", Some(href(&zoo)))
        .await;
    // Every file that is begun has an intent, whatever becomes of it.
    app.sql
        .run(
            "CREATE TABLE begun (); CREATE FUNCTION begin_file() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN INSERT INTO begun DEFAULT VALUES; RETURN NULL; END $$; \
             CREATE TRIGGER begun AFTER INSERT ON intent FOR EACH ROW EXECUTE FUNCTION begin_file()",
        )
        .await;
    let begun = async || app.sql.number("SELECT count(*) FROM begun").await;
    let named_first = |repository: &str| {
        let part = Part::text("text").file_name("f");
        let form = Form::new().text("repository", repository.to_owned());
        form.text("relative_path", "cat").part("file", part)
    };
    let post = async |client: &Client, path: &str, form: Form| {
        client
            .send(client.request(Method::POST, path).multipart(form))
            .await
            .status
            .as_u16()
    };
    for path in [FILES, "content/rpm/packages/"] {
        assert_eq!(post(&nobody, path, form("cat", None)).await, 403, "{path}");
        let named = named_first(href(&farm));
        assert_eq!(post(&keeper, path, named).await, 400, "{path}");
    }
    app.grant("keeper", "file.filerepository_viewer", Some(href(&farm)))
        .await;
    assert_eq!(post(&keeper, FILES, named_first(href(&farm))).await, 403);
    let packages = "content/rpm/packages/";
    assert_eq!(post(&keeper, packages, named_first(href(&zoo))).await, 400);
    assert_eq!(begun().await, 0);
    assert_eq!(post(&keeper, FILES, named_first(href(&zoo))).await, 202);
    assert_eq!(begun().await, 1);
}

#[tokio::test]
async fn an_upload_of_ones_own_becomes_a_unit() {
    let app = TestApp::with_workers(1).await;
    let zoo = app.repository("zoo").await;
    let keeper = app.person("keeper").await;
    app.grant("keeper", "file.filerepository_owner", Some(href(&zoo)))
        .await;
    app.grant("keeper", "core.upload_creator", None).await;
    let upload = keeper
        .post("uploads/", &json!({"size": 3}))
        .await
        .expect(201);
    let theirs = app.post("uploads/", &json!({"size": 3})).await.expect(201);
    let put = |href: &str| {
        let part = Part::bytes(b"cat".to_vec()).file_name("f");
        keeper
            .request(Method::PUT, href)
            .header("content-range", "bytes 0-2/3")
            .multipart(Form::new().part("file", part))
    };
    keeper.send(put(href(&theirs))).await.expect(404);
    keeper.send(put(href(&upload))).await.expect(200);
    let digest = "77af778b51abd4a3c51c5ddd97204a9c3ae614ebccb75a606c3b6865aed6744e";
    let commit = format!("{}commit/", href(&upload));
    let task = keeper
        .post(&commit, &json!({"sha256": digest}))
        .await
        .task();
    let made = keeper.completed(&task).await["created_resources"][0].clone();
    // It is an artifact, which only administrators read, and which its maker may use.
    keeper.get(made.as_str().unwrap()).await.expect(403);
    let body = json!({"relative_path": "cat", "artifact": made, "repository": href(&zoo)});
    let task = keeper.post(FILES, &body).await.task();
    keeper.completed(&task).await;
    app.finish().await;
}

#[tokio::test]
async fn labels_of_units_need_a_permission_of_their_own() {
    let app = TestApp::with_workers(1).await;
    let zoo = app.repository("zoo").await;
    let cat = app.unit("cat", "c").await;
    app.modify(&zoo, std::slice::from_ref(&cat), &[]).await;
    let keeper = app.person("keeper").await;
    let (path, label) = (
        format!("{cat}set_label/"),
        json!({"key": "k", "value": "v"}),
    );
    app.grant("keeper", "core.content_labeler", None).await;
    keeper.post(&path, &label).await.expect(404);
    app.grant("keeper", "file.filerepository_viewer", Some(href(&zoo)))
        .await;
    keeper.post(&path, &label).await.expect(201);
    let viewer = app.person("viewer").await;
    app.grant("viewer", "file.filerepository_viewer", None)
        .await;
    viewer.post(&path, &label).await.expect(403);
    app.finish().await;
}

#[tokio::test]
async fn a_version_that_is_hidden_holds_nothing_that_a_filter_tells_of() {
    let app = TestApp::with_workers(1).await;
    let (zoo, farm) = (app.repository("zoo").await, app.repository("farm").await);
    let cat = app.unit("cat", "c").await;
    app.modify(&zoo, std::slice::from_ref(&cat), &[]).await;
    app.modify(&farm, std::slice::from_ref(&cat), &[]).await;
    app.modify(&farm, &[], std::slice::from_ref(&cat)).await;
    let one = app.person("one").await;
    app.grant("one", "file.filerepository_viewer", Some(href(&zoo)))
        .await;
    for list in [FILES, "content/"] {
        for (filter, number) in [
            ("repository_version", 1),
            ("repository_version_added", 1),
            ("repository_version_removed", 2),
        ] {
            let version = format!("{}versions/{number}/", href(&farm));
            for query in [
                format!("{filter}={version}"),
                format!("{filter}={version}&ordering=pulp_id"),
                format!("q={filter}=%27{version}%27"),
            ] {
                let path = format!("{list}?{query}");
                assert_eq!(app.hrefs(&path).await, [cat.as_str()], "{path}");
                assert_eq!(one.hrefs(&path).await, Vec::<String>::new(), "{path}");
            }
        }
        let seen = format!(
            "{list}?repository_version={}versions/1/&ordering=pulp_id",
            href(&zoo)
        );
        assert_eq!(one.hrefs(&seen).await, [cat.as_str()], "{seen}");
    }
    app.finish().await;
}

#[tokio::test]
async fn what_serves_a_unit_is_not_told_to_who_does_not_see_the_unit() {
    let app = TestApp::with_workers(1).await;
    let zoo = app.repository("zoo").await;
    let cat = app.unit("cat", "c").await;
    app.modify(&zoo, std::slice::from_ref(&cat), &[]).await;
    let publication = published(&app, href(&zoo)).await;
    let body = json!({"name": "d", "base_path": "d", "publication": publication});
    let task = app.post(DISTRIBUTIONS, &body).await.task();
    let distribution = app.completed(&task).await["created_resources"][0].clone();
    let distribution = distribution.as_str().unwrap();
    let one = app.person("one").await;
    app.grant("one", "file.filepublication_viewer", Some(&publication))
        .await;
    app.grant("one", "file.filedistribution_viewer", Some(distribution))
        .await;
    let lists = [
        (
            format!("{PUBLICATIONS}?content={cat}"),
            publication.as_str(),
        ),
        (format!("{PUBLICATIONS}?content__in={cat}"), &publication),
        (format!("{DISTRIBUTIONS}?with_content={cat}"), distribution),
    ];
    for (list, object) in &lists {
        assert_eq!(app.hrefs(list).await, [*object], "{list}");
        assert_eq!(one.hrefs(list).await, Vec::<String>::new(), "{list}");
    }
    app.grant("one", "file.filerepository_viewer", Some(href(&zoo)))
        .await;
    for (list, object) in &lists {
        assert_eq!(one.hrefs(list).await, [*object], "{list}");
    }
    app.finish().await;
}
