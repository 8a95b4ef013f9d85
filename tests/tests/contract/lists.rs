//! Filters, orders and forms of lists.

use super::{href, hrefs, unit};
use millrace_tests::TestApp;
use serde_json::{Value, json};

#[tokio::test]
async fn every_column_that_is_offered_sorts() {
    let app = TestApp::start().await;
    let document = app.get("docs/api.json").await.expect(200);
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(parameters) = methods["get"]["parameters"].as_array() else {
            continue;
        };
        let Some(ordering) = parameters.iter().find(|p| p["name"] == "ordering") else {
            continue;
        };
        if path.contains('{') {
            continue;
        }
        let help = ordering["description"].as_str().unwrap();
        let names = help.rsplit(": ").next().unwrap().trim_end_matches('.');
        for name in names.split(", ") {
            app.get(&format!("{path}?ordering=-{name}"))
                .await
                .expect(200);
            tried += 1;
        }
    }
    assert!(tried > 70, "{tried}");
    for (list, name) in [
        ("content/file/files/", "relative_path"),
        ("content/file/files/", "sha256"),
        ("artifacts/", "sha512"),
        ("artifacts/", "file"),
        ("repositories/file/file/", "autopublish"),
        ("tasks/", "immediate"),
        ("task-groups/", "all_tasks_dispatched"),
        ("workers/", "versions"),
    ] {
        app.get(&format!("{list}?ordering={name}"))
            .await
            .expect(200);
    }
    app.finish().await;
}

#[tokio::test]
async fn values_that_lead_to_nothing_are_refused_by_name() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    let repository = href(&repository);
    let nobody = "0199e6a0-0000-7000-8000-000000000001";
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    for (query, field) in [
        ("started_at__lt=-5000-01-01".to_owned(), "started_at__lt"),
        (
            "pulp_created__range=0000-01-01,2000-01-01".to_owned(),
            "pulp_created__range",
        ),
        (
            "created_resources=prn:core.task:x".to_owned(),
            "created_resources",
        ),
        (
            format!("created_resources=prn:core.task:{nobody}"),
            "created_resources",
        ),
        (
            format!("created_resources={repository}versions/7/"),
            "created_resources",
        ),
        (
            format!("reserved_resources__in={}", many.join(",")),
            "reserved_resources__in",
        ),
    ] {
        let refusal = app.get(&format!("tasks/?{query}")).await.expect(400);
        assert!(refusal[field].is_array(), "{query}: {refusal}");
    }
    let there = format!("tasks/?created_resources={repository}versions/0/");
    assert_eq!(app.get(&there).await.expect(200)["count"], 0);
    let same = format!("tasks/?reserved_resources__in={}", "a,".repeat(1000));
    app.get(&same).await.expect(200);
    let early = json!({"finished_before": "-5000-01-01"});
    assert!(app.post("tasks/purge/", &early).await.expect(400)["finished_before"].is_array());
    app.finish().await;
}

#[tokio::test]
async fn a_version_is_a_resource_by_its_href() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let version = format!("{}versions/0/", href(&repository));
    let body = |way: &str| json!({"name": "pulpcore.app.tasks.test.dummy_task", way: [version]});
    let exclusive = app.dispatch(&body("exclusive_resources")).await;
    let shared = app.dispatch(&body("shared_resources")).await;
    for (filter, found) in [
        ("reserved_resources", vec![&shared, &exclusive]),
        ("reserved_resources__in", vec![&shared, &exclusive]),
        ("exclusive_resources", vec![&exclusive]),
        ("shared_resources__in", vec![&shared]),
    ] {
        let list = hrefs(&app, &format!("tasks/?{filter}={version}")).await;
        assert_eq!(list.iter().collect::<Vec<_>>(), found, "{filter}");
    }
    let other = version.replace("/0/", "/1/");
    let none = hrefs(&app, &format!("tasks/?reserved_resources={other}")).await;
    assert_eq!(none, Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn the_short_form_of_a_task_is_one_in_lists_and_alone() {
    let app = TestApp::with_workers(1).await;
    let task = app.sleeper(0.0, &["a"]).await;
    app.completed(&task).await;
    let alone = app.get(&format!("{task}?minimal=true")).await.expect(200);
    assert_eq!(alone.as_object().unwrap().len(), 11, "{alone:#}");
    assert_eq!(
        (&alone["pulp_href"], &alone["state"]),
        (&json!(task), &json!("completed"))
    );
    let list = app
        .get("tasks/?minimal=true&name__contains=sleep")
        .await
        .expect(200);
    assert_eq!(list["results"], json!([alone]));
    let fields = app
        .get(&format!("{task}?minimal=true&fields=name,error"))
        .await
        .expect(200);
    assert_eq!(fields, json!({"name": "pulpcore.app.tasks.test.sleep"}));
    app.finish().await;
}

#[tokio::test]
async fn a_group_counts_its_members_whether_or_not_it_shows_them() {
    let app = TestApp::with_workers(1).await;
    for name in ["dummy_task", "failing_task", "dummy_task"] {
        let body = json!({"name": format!("pulpcore.app.tasks.test.{name}")});
        let task = app.dispatch(&body).await;
        app.finished(&task).await;
    }
    app.sql
        .run(
            "INSERT INTO task_group (pulp_id, pulp_domain, description)
             SELECT gen_random_uuid(), pulp_id, 'herd' FROM domain;
             UPDATE task SET task_group = (SELECT pulp_id FROM task_group WHERE description = 'herd')",
        )
        .await;
    let whole = app.get("task-groups/").await.expect(200)["results"][0].clone();
    let members = whole["tasks"].as_array().unwrap();
    assert_eq!(members.len(), 3, "{whole:#}");
    let in_state = |state: &str| members.iter().filter(|m| m["state"] == state).count();
    for state in ["waiting", "running", "completed", "failed", "canceled"] {
        assert_eq!(whole[state], in_state(state), "{state}");
    }
    let short = app
        .get("task-groups/?exclude_fields=tasks")
        .await
        .expect(200);
    let mut expected = whole.clone();
    expected.as_object_mut().unwrap().remove("tasks");
    assert_eq!(short["results"], json!([expected]));
    app.finish().await;
}

#[tokio::test]
async fn an_orphan_is_one_after_the_time_of_the_settings_or_any_other() {
    let app = TestApp::builder()
        .set("tasks.orphan_protection_time", 60)
        .start()
        .await;
    unit(&app, "a").await;
    let count = async |query: &str| {
        app.get(&format!("content/file/files/?{query}"))
            .await
            .expect(200)["count"]
            .clone()
    };
    assert_eq!(count("orphaned_for=0").await, 1);
    assert_eq!(count("orphaned_for=-1").await, 0);
    app.sql
        .run("UPDATE content SET timestamp_of_interest = now() - interval '90 min'")
        .await;
    assert_eq!(count("orphaned_for=-1").await, 1);
    assert_eq!(count("orphaned_for=90.5").await, 0);
    assert_eq!(count("orphaned_for=1e300").await, 0);
    assert_eq!(count("orphaned_for=1e-300").await, 1);
    for bad in ["many", "NaN", "inf"] {
        app.get(&format!("artifacts/?orphaned_for={bad}"))
            .await
            .expect(400);
    }
    app.finish().await;
}

#[tokio::test]
async fn a_version_that_is_being_written_is_in_no_list() {
    let app = TestApp::start().await;
    let repository = app.repository("zoo").await;
    let unit = unit(&app, "a").await;
    app.sql
        .run(
            "INSERT INTO repository_content (repository_id, content_id, version_added)
             SELECT r.pulp_id, c.pulp_id, r.next_version FROM repository r, content c",
        )
        .await;
    let with = format!("repositories/file/file/?with_content={unit}");
    assert_eq!(hrefs(&app, &with).await, Vec::<String>::new());
    app.sql
        .run(
            "WITH moved AS (UPDATE repository SET next_version = next_version + 1
                            RETURNING pulp_id, next_version - 1 AS number)
             INSERT INTO repository_version (pulp_id, repository_id, number, complete)
             SELECT gen_random_uuid(), pulp_id, number, true FROM moved",
        )
        .await;
    assert_eq!(hrefs(&app, &with).await, [href(&repository)]);
    app.finish().await;
}

#[tokio::test]
async fn labels_are_selected_by_pair_key_and_part() {
    let app = TestApp::start().await;
    for (name, labels) in [
        ("a", json!({"k": "Value"})),
        ("b", json!({"k": null})),
        ("c", json!({})),
    ] {
        let body = json!({"name": name, "pulp_labels": labels});
        app.post("repositories/file/file/", &body).await.expect(201);
    }
    for (select, names) in [
        ("k=Value", "a"),
        ("k=value", ""),
        ("k~ALU", "a"),
        ("k!=Value", "b"),
        ("k", "a,b"),
        ("!k", "c"),
    ] {
        let list =
            format!("repositories/file/file/?ordering=name&fields=name&pulp_label_select={select}");
        let page = app.get(&list).await.expect(200);
        let found: Vec<&str> = page["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r: &Value| r["name"].as_str().unwrap())
            .collect();
        assert_eq!(found.join(","), names, "{select}");
    }
    app.finish().await;
}
