//! `groups/` and their members.

use super::{account, href, people};
use millrace_tests::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_group_is_made_renamed_and_deleted_and_its_members_stay() {
    let app = TestApp::start().await;
    let group = app
        .post("groups/", &json!({"name": "keepers"}))
        .await
        .expect(201);
    let id = &group["id"];
    assert_eq!(group["prn"], format!("prn:core.group:{id}"));
    assert_eq!(href(&group), format!("/pulp/api/v3/groups/{id}/"));
    let renamed = app
        .patch(href(&group), &json!({"name": "guards"}))
        .await
        .expect(200);
    assert_eq!(renamed["name"], "guards");
    let put = app
        .request(Method::PUT, href(&group))
        .json(&json!({"name": "keepers"}));
    app.send(put).await.expect(200);

    let jane = account(&app, "jane").await;
    let users = format!("{}users/", href(&group));
    let member = app
        .post(&users, &json!({"username": "jane"}))
        .await
        .expect(201);
    assert_eq!(member["username"], "jane");
    assert_eq!((href(&member), &member["prn"]), (href(&jane), &jane["prn"]));
    app.post(&users, &json!({"username": "jane"}))
        .await
        .expect(201);
    app.post(&users, &json!({"username": "admin"}))
        .await
        .expect(201);
    let members = app
        .get(&format!("{users}?ordering=username&limit=1"))
        .await
        .expect(200);
    assert_eq!(
        (&members["count"], &members["results"][0]["username"]),
        (&json!(2), &json!("admin"))
    );
    let shown = app.get(href(&jane)).await.expect(200);
    assert_eq!(
        shown["groups"],
        json!([{"name": "keepers", "pulp_href": href(&group), "prn": group["prn"]}])
    );

    let membership = format!("{users}{}/", jane["id"]);
    assert_eq!(app.delete(&membership).await.status, 204);
    app.delete(&membership).await.expect(404);
    assert_eq!(app.get(&users).await.expect(200)["count"], 1);
    assert_eq!(app.delete(href(&group)).await.status, 204);
    for gone in [href(&group), &users] {
        app.get(gone).await.expect(404);
    }
    assert_eq!(app.get(href(&jane)).await.expect(200)["groups"], json!([]));
    app.get("tasks/").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_group_is_named_and_changes_nothing() {
    let app = TestApp::start().await;
    let group = app
        .post("groups/", &json!({"name": "zoo"}))
        .await
        .expect(201);
    let before = people(&app).await;
    let users = format!("{}users/", href(&group));
    for (path, body, field, message) in [
        ("groups/", json!({}), "name", "required"),
        ("groups/", json!({"name": " "}), "name", "blank"),
        ("groups/", json!({"name": "zoo"}), "name", "unique"),
        (
            "groups/",
            json!({"name": "n".repeat(151)}),
            "name",
            "150 characters",
        ),
        (
            "groups/",
            json!({"name": "x", "users": []}),
            "users",
            "Unexpected",
        ),
        (
            &users,
            json!({"username": "nobody"}),
            "username",
            "no account",
        ),
        (
            &users,
            json!({"username": "a b"}),
            "username",
            "valid username",
        ),
        (&users, json!({}), "username", "required"),
    ] {
        let refused = app.post(path, &body).await.expect(400);
        assert!(
            refused[field].to_string().contains(message),
            "{body}: {refused}"
        );
    }
    app.post("groups/4711/users/", &json!({"username": "admin"}))
        .await
        .expect(404);
    app.delete(&format!("{users}4711/")).await.expect(404);
    assert_eq!(people(&app).await, before);
    app.finish().await;
}

#[tokio::test]
async fn groups_are_filtered() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        let group = app
            .post("groups/", &json!({"name": name}))
            .await
            .expect(201);
        ids.push(group["id"].to_string());
    }
    for (query, names) in [
        ("ordering=name".to_owned(), vec!["one", "three", "two"]),
        ("name=two".to_owned(), vec!["two"]),
        (
            "name__in=one,two&ordering=name".to_owned(),
            vec!["one", "two"],
        ),
        ("name__contains=re".to_owned(), vec!["three"]),
        (format!("id={}", ids[0]), vec!["one"]),
        (
            format!("id__in={},{}&ordering=name", ids[0], ids[1]),
            vec!["one", "two"],
        ),
        (format!("prn__in=prn:core.group:{}", ids[2]), vec!["three"]),
    ] {
        let page = app.get(&format!("groups/?{query}")).await.expect(200);
        let found: Vec<&Value> = page["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|g| &g["name"])
            .collect();
        assert_eq!(found, names, "{query}");
    }
    app.get("groups/?id__in=x").await.expect(400);
    app.finish().await;
}

#[tokio::test]
async fn a_group_is_seen_and_changed_by_who_holds_a_role_on_it() {
    let app = TestApp::start().await;
    let keepers = app.group("keepers", &["admin"]).await;
    let users = format!("{}users/", href(&keepers));
    let (one, maker) = (app.person("one").await, app.person("maker").await);
    let name = json!({"name": "new"});
    assert_eq!(one.hrefs("groups/").await, Vec::<String>::new());
    for hidden in [
        one.get(href(&keepers)).await,
        one.patch(href(&keepers), &name).await,
        one.delete(href(&keepers)).await,
        one.get(&users).await,
        one.post(&users, &json!({"username": "one"})).await,
    ] {
        assert_eq!(
            hidden.expect(404),
            json!({"detail": "No Group matches the given query."})
        );
    }
    one.post("groups/", &name).await.expect(403);

    app.grant("one", "core.group_viewer", Some(href(&keepers)))
        .await;
    assert_eq!(one.hrefs("groups/").await, [href(&keepers)]);
    one.get(href(&keepers)).await.expect(200);
    assert_eq!(one.get(&users).await.expect(200)["count"], 1);
    for refused in [
        one.patch(href(&keepers), &name).await,
        one.delete(href(&keepers)).await,
        one.post(&users, &json!({"username": "one"})).await,
        one.delete(&format!("{users}1/")).await,
        one.get(&format!("{}list_roles/", href(&keepers))).await,
        // What a group may do is given by administrators.
        one.get(&format!("{}roles/", href(&keepers))).await,
    ] {
        refused.expect(403);
    }

    app.grant("maker", "core.group_creator", None).await;
    let mine = maker.post("groups/", &name).await.expect(201);
    assert_eq!(maker.hrefs("groups/").await, [href(&mine)]);
    let users = format!("{}users/", href(&mine));
    maker
        .post(&users, &json!({"username": "one"}))
        .await
        .expect(201);
    let member = maker.get(&users).await.expect(200)["results"][0]["pulp_href"].clone();
    let member = member
        .as_str()
        .unwrap()
        .rsplit('/')
        .nth(1)
        .unwrap()
        .to_owned();
    maker.delete(&format!("{users}{member}/")).await.expect(204);
    maker
        .patch(href(&mine), &json!({"name": "other"}))
        .await
        .expect(200);
    let roles = format!("{}roles/", href(&mine));
    let admin = json!({"role": "core.task_owner", "content_object": null});
    maker.post(&roles, &admin).await.expect(403);
    maker.delete(href(&mine)).await.expect(204);
    app.finish().await;
}
