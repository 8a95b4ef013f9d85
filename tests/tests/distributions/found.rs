//! Distributions by what they are.

use super::{LIST, distribute, href, publish};
use millrace_tests::TestApp;
use serde_json::json;

#[tokio::test]
async fn distributions_are_found_and_labelled() {
    let app = TestApp::with_workers(1).await;
    let repository = app.repository("zoo").await;
    let unit = app.unit("a", "one").await;
    app.modify(&repository, std::slice::from_ref(&unit), &[])
        .await;
    let published = publish(&app, &repository).await;
    let mut all = Vec::new();
    for (name, path, field, value) in [
        ("empty", "pub/lic", "hidden", json!(true)),
        ("repo", "other", "repository", json!(href(&repository))),
        (
            "old",
            "Old",
            "repository_version",
            json!(format!("{}versions/0/", href(&repository))),
        ),
        ("made", "made", "publication", json!(href(&published))),
    ] {
        let body = json!({"name": name, "base_path": path, field: value});
        let one = distribute(&app, &body).await;
        all.push(href(&one).to_owned());
    }
    for (query, expected) in [
        ("name=repo".to_owned(), vec![1]),
        ("name__in=repo,made".to_owned(), vec![3, 1]),
        ("base_path=other".to_owned(), vec![1]),
        ("base_path__contains=l".to_owned(), vec![2, 0]),
        ("base_path__icontains=OL".to_owned(), vec![2]),
        ("base_path__in=other,made".to_owned(), vec![3, 1]),
        (format!("repository={}", href(&repository)), vec![1]),
        (format!("repository__in={}", href(&repository)), vec![1]),
        ("repository=null".to_owned(), vec![3, 2, 0]),
        ("checkpoint=true".to_owned(), vec![]),
        (format!("with_content={unit}"), vec![3, 1]),
        ("ordering=base_path&limit=2&hidden".to_owned(), vec![]),
    ] {
        for list in ["distributions/", LIST] {
            let path = format!("{list}?{query}");
            if query.contains("hidden") {
                assert_eq!(app.get(&path).await.status, 400);
                continue;
            }
            let expected: Vec<&String> = expected.iter().map(|n| &all[*n]).collect();
            let found = app.hrefs(&path).await;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{path}");
        }
    }
    let one = &all[0];
    let label = json!({"key": "k", "value": "v"});
    assert_eq!(
        app.post(&format!("{one}set_label/"), &label)
            .await
            .expect(201),
        label
    );
    let labelled = app.hrefs("distributions/?pulp_label_select=k=v").await;
    assert_eq!(&labelled[..], &all[..1]);
    app.post(&format!("{one}unset_label/"), &json!({"key": "k"}))
        .await
        .expect(201);
    assert_eq!(app.get(one).await.expect(200)["pulp_labels"], json!({}));
    app.finish().await;
}
