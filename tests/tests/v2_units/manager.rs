//! What an orphan is, and what goes with one.

use super::{Pulp, done, rpm};
use millrace_tests::client::id_of;
use serde_json::{Value, json};

fn ids(orphans: &[Value]) -> Vec<&str> {
    orphans
        .iter()
        .map(|unit| unit["_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn no_units_no_orphans_one_unit_one_orphan_with_the_same_id() {
    let pulp = Pulp::start().await;
    assert_eq!(pulp.counts().await, json!({}));
    assert_eq!(pulp.orphans("erratum").await, Vec::<Value>::new());
    let id = pulp.erratum("RHBA-1", None);
    assert_eq!(pulp.counts().await, json!({"erratum": 1}));
    assert_eq!(ids(&pulp.orphans("erratum").await), [id]);
}

#[tokio::test]
async fn two_types_two_in_total_and_one_for_each_type() {
    let pulp = Pulp::start().await;
    pulp.erratum("RHBA-1", None);
    pulp.import("rpm", &[rpm("a", None)]);
    assert_eq!(pulp.counts().await, json!({"erratum": 1, "rpm": 1}));
    for (type_id, key) in [("erratum", "errata_id"), ("rpm", "checksum")] {
        let orphans = pulp.orphans(type_id).await;
        assert_eq!(orphans.len(), 1, "{type_id}");
        assert!(orphans[0][key].is_string(), "same with unit-key fields");
    }
    assert_eq!(pulp.remove_all().await, json!({"erratum": 1, "rpm": 1}));
}

#[tokio::test]
async fn by_type_listing_of_an_unknown_type_not_found() {
    let pulp = Pulp::start().await;
    let answer = pulp.get("/pulp/api/v2/content/orphans/nope/").await;
    assert_eq!(
        answer.expect(404)["resources"],
        json!({"content_type_id": "nope"})
    );
    let task = pulp
        .begin("delete_orphans_by_type", json!({"content_type_id": "nope"}))
        .await;
    let task = pulp.finished(&task).await;
    assert_eq!(task["state"], "failed");
    let said = task["error"]["description"].as_str().unwrap();
    assert!(
        said.contains("PLP0009") && said.contains("content_type_id=nope"),
        "{said}"
    );
    pulp.app.finish().await;
}

#[tokio::test]
async fn by_type_listing_returns_only_that_type_with_content_type_id() {
    let pulp = Pulp::start().await;
    let path = pulp
        .write("content/rpm/a/a.rpm")
        .replace("/rpm/", "/rpm/.//");
    pulp.import("rpm", &[rpm("a", Some(&path))]);
    let id = pulp.erratum("RHBA-1", None);
    let orphans = pulp.orphans("rpm").await;
    assert_eq!(orphans.len(), 1);
    assert_eq!(orphans[0]["_content_type_id"], "rpm");
    assert_eq!(orphans[0]["_ns"], "units_rpm");
    assert_eq!(orphans[0]["_storage_path"], path, "as it came");
    assert_eq!(orphans[0]["name"], "a");
    let errata = pulp.orphans("erratum").await;
    assert_eq!(ids(&errata), [id]);
    assert_eq!(errata[0]["_content_type_id"], "erratum");
    assert!(errata[0]["_storage_path"].is_null());
}

#[tokio::test]
async fn single_lookup_finds_it_and_an_unknown_id_is_not_found() {
    let pulp = Pulp::start().await;
    let id = pulp.erratum("RHBA-1", None);
    let path = |type_id: &str, id: &str| format!("/pulp/api/v2/content/orphans/{type_id}/{id}/");
    let found = pulp.get(&path("erratum", &id)).await.expect(200);
    assert_eq!(
        (&found["_id"], &found["errata_id"]),
        (&json!(id), &json!("RHBA-1"))
    );
    let other = uuid::Uuid::new_v4().to_string();
    for (type_id, id) in [
        ("erratum", other.as_str()),
        ("erratum", "no uuid"),
        ("rpm", &id),
    ] {
        pulp.get(&path(type_id, id)).await.expect(404);
    }
}

#[tokio::test]
async fn associated_unit_is_not_an_orphan_and_after_disassociation_it_is() {
    let pulp = Pulp::start().await;
    let path = pulp.write("content/rpm/a/a.rpm");
    pulp.import("rpm", &[rpm("a", Some(&path))]);
    let unit = &pulp.hrefs("content/rpm/packages/").await[0];
    let zoo = pulp
        .post("repositories/rpm/rpm/", &json!({"name": "zoo"}))
        .await
        .expect(201);
    pulp.modify(&zoo, std::slice::from_ref(unit), &[]).await;
    assert_eq!(pulp.counts().await, json!({}));
    assert_eq!(pulp.remove_all().await, json!({}));
    assert!(pulp.is("content/rpm/a/a.rpm"));
    // No version may hold it any more.
    let task = pulp.delete(zoo["pulp_href"].as_str().unwrap()).await.task();
    pulp.completed(&task).await;
    assert_eq!(pulp.counts().await, json!({"rpm": 1}));
    assert_eq!(pulp.remove_all().await, json!({"rpm": 1}));
    assert!(!pulp.is("content/rpm/a/a.rpm"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn delete_all_removes_unit_and_file_and_returns_counts_by_type() {
    let pulp = Pulp::start().await;
    let path = pulp.write("content/rpm/a/b/a.rpm");
    pulp.import("rpm", &[rpm("a", Some(&path))]);
    let task = pulp.removed("delete_all_orphans", json!({})).await;
    assert_eq!(task["result"], json!({"rpm": 1}));
    assert_eq!(done(&task, "clean-up.storage"), Some(1));
    assert_eq!(done(&task, "clean-up.failed"), Some(0));
    assert_eq!(pulp.units().await, 0);
    assert!(pulp.is("content/rpm") && !pulp.is("content/rpm/a"));
    assert_eq!(
        pulp.remove_all().await,
        json!({}),
        "when nothing was deleted"
    );
    pulp.app.finish().await;
}

#[tokio::test]
async fn delete_all_with_a_directory_as_storage() {
    let pulp = Pulp::start().await;
    pulp.write("content/units/iso/ab/cd/tree/one");
    pulp.write("content/units/iso/ab/cd/tree/deep/two");
    pulp.erratum("tree", Some(&pulp.text("content/units/iso/ab/cd/tree")));
    assert_eq!(pulp.remove_all().await, json!({"erratum": 1}));
    assert!(pulp.is("content/units") && !pulp.is("content/units/iso"));
    pulp.app.finish().await;
}

#[tokio::test]
async fn delete_by_type_leaves_the_other_types_units_and_files() {
    let pulp = Pulp::start().await;
    let (gone, kept) = (pulp.write("content/rpm/a"), pulp.write("content/erratum/a"));
    pulp.import("rpm", &[rpm("a", Some(&gone))]);
    pulp.erratum("kept", Some(&kept));
    let by_type = json!({"content_type_id": "rpm"});
    assert_eq!(
        pulp.remove("delete_orphans_by_type", by_type).await,
        json!({"rpm": 1})
    );
    assert!(!pulp.is("content/rpm/a") && pulp.is("content/erratum/a"));
    assert_eq!(pulp.counts().await, json!({"erratum": 1}));
    pulp.app.finish().await;
}

fn named(units: &[(&str, &str)]) -> Value {
    let named = |(type_id, id): &(&str, &str)| json!({"content_type_id": type_id, "unit_id": id});
    json!({"content_unit_list": units.iter().map(named).collect::<Vec<_>>()})
}

/// Here no rows of a lazy catalog are kept apart: where a remote has a unit's files goes with the unit by its keys.
#[tokio::test]
async fn delete_by_id_removes_unit_and_file_of_exactly_that_unit() {
    let pulp = Pulp::start().await;
    let (gone, kept) = (
        pulp.write("content/erratum/a"),
        pulp.write("content/erratum/b"),
    );
    let id = pulp.erratum("gone", Some(&gone));
    pulp.erratum("kept", Some(&kept));
    let by_id = named(&[("erratum", &id)]);
    assert_eq!(
        pulp.remove("delete_orphans_by_id", by_id).await,
        json!({"erratum": 1})
    );
    assert!(!pulp.is("content/erratum/a") && pulp.is("content/erratum/b"));
    assert_eq!(pulp.counts().await, json!({"erratum": 1}));
    pulp.app.finish().await;
}

#[tokio::test]
async fn what_is_unknown_is_skipped_and_duplicates_count_once() {
    let pulp = Pulp::start().await;
    let id = pulp.erratum("gone", None);
    pulp.erratum("kept", None);
    let other = uuid::Uuid::new_v4().to_string();
    let upper = id.to_uppercase();
    let list = [
        ("erratum", id.as_str()),
        ("erratum", &id),
        ("rpm", &id),
        ("erratum", &other),
        ("erratum", "no uuid \u{1f980}"),
        ("erratum", &upper),
    ];
    assert_eq!(
        pulp.remove("delete_orphans", named(&list[2..])).await,
        json!({})
    );
    assert_eq!(
        pulp.remove("delete_orphans", named(&list)).await,
        json!({"erratum": 1})
    );
    assert_eq!(pulp.units().await, 1);
    pulp.app.finish().await;
}

#[tokio::test]
async fn an_unknown_type_in_a_list_fails_the_task_before_anything_is_deleted() {
    let pulp = Pulp::start().await;
    let id = pulp.erratum("kept", None);
    for task in ["delete_orphans", "delete_orphans_by_id"] {
        let list = named(&[("erratum", &id), ("nope", "x")]);
        let task = pulp.begin(task, list).await;
        let task = pulp.finished(&task).await;
        assert_eq!(task["state"], "failed");
        let said = task["error"]["description"].as_str().unwrap();
        assert!(said.contains("content_type_id=nope"), "{said}");
    }
    assert_eq!(pulp.units().await, 1);
    pulp.app.finish().await;
}

#[tokio::test]
async fn an_empty_selection_deletes_nothing() {
    let pulp = Pulp::start().await;
    pulp.erratum("kept", None);
    for task in ["delete_orphans", "delete_orphans_by_id"] {
        assert_eq!(pulp.remove(task, named(&[])).await, json!({}), "{task}");
    }
    // The same of version 3, by name: no list is all, and an empty one is nothing.
    let empty =
        json!({"name": "pulpcore.app.tasks.orphan.orphan_cleanup", "kwargs": {"content_pks": []}});
    let task = pulp.dispatch(&empty).await;
    assert_eq!(pulp.completed(&task).await["result"]["units"], 0);
    assert_eq!(pulp.units().await, 1);
    pulp.app.finish().await;
}

#[tokio::test]
async fn paged_removal_skips_associated_units_in_a_page_and_honours_an_id_filter() {
    let pulp = Pulp::start().await;
    let units: Vec<Value> = (0..20).map(|n| rpm(&format!("a{n}"), None)).collect();
    pulp.import("rpm", &units);
    let hrefs = pulp.hrefs("content/rpm/packages/").await;
    let zoo = pulp
        .post("repositories/rpm/rpm/", &json!({"name": "zoo"}))
        .await
        .expect(201);
    pulp.modify(&zoo, &hrefs[..5], &[]).await;
    let list: Vec<_> = hrefs[3..8]
        .iter()
        .map(|href| ("rpm", id_of(href)))
        .collect();
    assert_eq!(
        pulp.remove("delete_orphans", named(&list)).await,
        json!({"rpm": 3})
    );
    assert_eq!(pulp.remove_all().await, json!({"rpm": 12}));
    assert_eq!(pulp.units().await, 5);
    pulp.app.finish().await;
}

#[tokio::test]
async fn a_protection_time_keeps_what_is_new() {
    let pulp = Pulp::start().await;
    pulp.erratum("new", None);
    pulp.erratum("old", None);
    pulp.sql
        .run("UPDATE content SET timestamp_of_interest = now() - interval '2 hours' WHERE fields ->> 'errata_id' = 'old'")
        .await;
    let an_hour = json!({"orphan_protection_time": 60});
    assert_eq!(
        pulp.remove("delete_all_orphans", an_hour).await,
        json!({"erratum": 1})
    );
    assert_eq!(pulp.orphans("erratum").await[0]["errata_id"], "new");
    assert_eq!(pulp.remove_all().await, json!({"erratum": 1}));
    pulp.app.finish().await;
}

#[tokio::test]
async fn artifacts_of_deleted_units_go_and_those_of_others_or_of_none_stay() {
    let pulp = Pulp::start().await;
    let only = pulp.upload(b"only".to_vec()).await;
    let shared = pulp.upload(b"shared".to_vec()).await;
    let lone = pulp.upload(b"lone".to_vec()).await;
    let gone = [
        pulp.file(&only, "only").await,
        pulp.file(&shared, "shared").await,
    ];
    let kept = pulp.file(&shared, "kept").await;
    let repository = pulp.repository("zoo").await;
    pulp.modify(&repository, std::slice::from_ref(&kept), &[])
        .await;
    assert_eq!(pulp.remove_all().await, json!({"file": 2}));
    for href in &gone {
        assert_eq!(pulp.get(href).await.status, 404);
    }
    let href = |artifact: &Value| artifact["pulp_href"].as_str().unwrap().to_owned();
    assert_eq!(pulp.get(&href(&only)).await.status, 404);
    for left in [href(&shared), href(&lone), kept] {
        pulp.get(&left).await.expect(200);
    }
    assert_eq!(millrace_tests::app::files_below(&pulp.media()).len(), 2);
    // What belongs to no unit is for the clean-up of version 3.
    let task = pulp.delete("orphans/").await.task();
    pulp.completed(&task).await;
    assert_eq!(pulp.get(&href(&lone)).await.status, 404);
    pulp.app.finish().await;
}

#[tokio::test]
async fn the_clean_up_of_version_3_takes_units_of_every_type_with_what_they_store() {
    let pulp = Pulp::start().await;
    pulp.erratum("a", Some(&pulp.write("content/erratum/x/a")));
    // It has no address there, so it is listed nowhere.
    assert_eq!(pulp.get("content/").await.expect(200)["count"], 0);
    let task = pulp.delete("orphans/").await.task();
    let task = pulp.completed(&task).await;
    assert_eq!(task["result"]["units"], 1);
    assert_eq!(task["result"]["failed"], 0);
    assert!(!pulp.is("content/erratum/x"));
    pulp.app.finish().await;
}
