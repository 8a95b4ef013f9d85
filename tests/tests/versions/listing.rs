//! Lists of versions, and of what is in them.

use super::Zoo;
use super::sets::{href, newest};
use millrace_tests::client::id_of;
use serde_json::json;

#[tokio::test]
async fn versions_are_found_by_number_unit_and_address() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    zoo.made(json!({"remove_content_units": [a]}), 2, &[b], (0, 1))
        .await;
    zoo.made(json!({"add_content_units": [c]}), 3, &[b, c], (1, 0))
        .await;
    let other = zoo.app.repository("other").await;
    let own = format!("{}versions/", href(&zoo.repository));
    let (one, three) = (zoo.version(1), zoo.version(3));
    let of_other = format!("{}versions/0/", href(&other));
    let prn = async |version: &str| {
        let prn = &zoo.app.get(version).await.expect(200)["prn"];
        prn.as_str().unwrap().to_owned()
    };
    let (prn_one, prn_three) = (prn(&one).await, prn(&three).await);
    let a_prn = format!("prn:file.filecontent:{}", id_of(a));
    for (query, found) in [
        (String::new(), &[3, 2, 1, 0][..]),
        ("number=2".into(), &[2]),
        ("number__gt=1".into(), &[3, 2]),
        ("number__gte=1".into(), &[3, 2, 1]),
        ("number__lt=1".into(), &[0]),
        ("number__lte=1".into(), &[1, 0]),
        ("number__range=1,2".into(), &[2, 1]),
        ("ordering=number".into(), &[0, 1, 2, 3]),
        ("ordering=-number&limit=10".into(), &[3, 2, 1, 0]),
        (format!("content={a}"), &[1]),
        (format!("content={a_prn}"), &[1]),
        (format!("content={c}"), &[3]),
        (format!("content__in={a},{c}"), &[3, 1]),
        (format!("content__in={b}"), &[3, 2, 1]),
        (format!("pulp_href__in={one},{three}"), &[3, 1]),
        (format!("pulp_href__in={one},{of_other}"), &[1]),
        (format!("prn__in={prn_one},{prn_three}"), &[3, 1]),
        ("pulp_created__gt=2100-01-01".into(), &[]),
        (
            "pulp_created__range=2000-01-01,2100-01-01".into(),
            &[3, 2, 1, 0],
        ),
        (format!("q=number=1 OR content={c:?}"), &[3, 1]),
        ("q=NOT number=1 AND number__lt=3".into(), &[2, 0]),
    ] {
        let versions = zoo.app.hrefs(&format!("{own}?{query}")).await;
        let expected: Vec<String> = found.iter().map(|n| zoo.version(*n)).collect();
        assert_eq!(versions, expected, "{query}");
    }
    let by_id = format!("{own}?pulp_id__in={}", id_of(a));
    assert_eq!(
        zoo.app.get(&by_id).await.expect(400)["errors"][0],
        "Invalid Filter: 'pulp_id__in'"
    );

    // The list of all repositories has the same filters.
    for (query, count) in [
        (String::new(), 5),
        ("?number=0".into(), 2),
        (format!("?content={b}"), 3),
        (format!("?pulp_href__in={one},{of_other}"), 2),
        (format!("?prn__in={prn_one}"), 1),
    ] {
        let found = zoo.app.hrefs(&format!("repository_versions/{query}")).await;
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
    zoo.app.finish().await;
}

#[tokio::test]
async fn a_version_shows_what_clients_read() {
    let zoo = Zoo::open().await;
    let version = newest(&zoo.app, &zoo.repository).await.0;
    let address = zoo.version(1);
    let prn = version["prn"].as_str().unwrap();
    assert!(prn.starts_with("prn:core.repositoryversion:"), "{prn}");
    let files = "/pulp/api/v3/content/file/files/";
    assert_eq!(
        version,
        json!({
            "pulp_href": address,
            "prn": prn,
            "pulp_created": version["pulp_created"],
            "pulp_last_updated": version["pulp_last_updated"],
            "number": 1,
            "repository": href(&zoo.repository),
            "base_version": null,
            "content_summary": {
                "added": {"file.file": {"count": 2, "href": format!("{files}?repository_version_added={address}")}},
                "removed": {},
                "present": {"file.file": {"count": 2, "href": format!("{files}?repository_version={address}")}},
            },
            "vuln_report": format!("/pulp/api/v3/vuln_report/?repo_versions={prn}"),
        })
    );
    let first = zoo.app.get(&zoo.version(0)).await.expect(200);
    let empty = json!({"added": {}, "removed": {}, "present": {}});
    assert_eq!(first["content_summary"], empty);
    for path in ["versions/7/", "versions/-1/", "versions/x/"] {
        let path = format!("{}{path}", href(&zoo.repository));
        let answer = zoo.app.get(&path).await.expect(404);
        assert_eq!(
            answer["detail"],
            "No RepositoryVersion matches the given query."
        );
    }
    zoo.app.finish().await;
}

#[tokio::test]
async fn units_and_artifacts_are_found_by_what_versions_do_with_them() {
    let zoo = Zoo::open().await;
    let (a, b, c) = (&zoo.a, &zoo.b, &zoo.c);
    zoo.made(
        json!({"add_content_units": [c], "remove_content_units": [a]}),
        2,
        &[b, c],
        (1, 1),
    )
    .await;
    let repository = href(&zoo.repository);
    let prn = zoo.repository["prn"].as_str().unwrap();
    let second = newest(&zoo.app, &zoo.repository).await.0;
    let second_prn = second["prn"].as_str().unwrap();
    let (one, two) = (&zoo.version(1), &zoo.version(2));
    for (query, expected) in [
        (format!("repository_version={one}"), vec![b, a]),
        (format!("repository_version={two}"), vec![c, b]),
        (format!("repository_version={second_prn}"), vec![c, b]),
        (format!("repository_version={repository}"), vec![c, b]),
        (format!("repository_version={prn}"), vec![c, b]),
        (format!("repository_version={}", zoo.version(0)), vec![]),
        (format!("repository_version={}", zoo.version(9)), vec![]),
        (format!("repository_version_added={one}"), vec![b, a]),
        (format!("repository_version_added={two}"), vec![c]),
        (format!("repository_version_added={repository}"), vec![c]),
        (format!("repository_version_removed={one}"), vec![]),
        (format!("repository_version_removed={two}"), vec![a]),
        (format!("repository_version_removed={prn}"), vec![a]),
        (
            format!("repository_version={one}&repository_version_removed={two}"),
            vec![a],
        ),
    ] {
        for list in ["content/file/files/", "content/"] {
            let found = zoo.app.hrefs(&format!("{list}?{query}")).await;
            let expected: Vec<String> = expected.iter().map(|unit| (*unit).clone()).collect();
            assert_eq!(found, expected, "{list}?{query}");
        }
    }
    let artifact = async |unit: &str| {
        let unit = zoo.app.get(unit).await.expect(200);
        unit["artifact"].as_str().unwrap().to_owned()
    };
    let mut expected = [artifact(b).await, artifact(c).await];
    expected.sort_unstable();
    let mut found = zoo
        .app
        .hrefs(&format!("artifacts/?repository_version={two}"))
        .await;
    found.sort_unstable();
    assert_eq!(found, expected);
    for bad in [
        "x",
        a.as_str(),
        "prn:core.task:0199e6a0-0000-7000-8000-000000000001",
    ] {
        let list = format!("content/file/files/?repository_version={bad}");
        let refused = zoo.app.get(&list).await.expect(400);
        assert!(refused["repository_version"].is_array(), "{bad}: {refused}");
    }
    zoo.app.finish().await;
}
