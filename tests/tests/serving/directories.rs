//! Directories.

use super::shop::{Shop, header};
use reqwest::Method;

fn names(page: &str) -> Vec<&str> {
    page.split("<a href=\"./")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0)
        .collect()
}

#[tokio::test]
async fn a_directory_is_listed() {
    let files = [
        ("b/one", "1"),
        ("b/two", "22"),
        ("b-b", "333"),
        ("b.b/deep/er/file", "4444"),
        ("c", "5"),
        ("a<b>&\"q\"%25:ü", "6"),
    ];
    let shop = Shop::with("dir", &files).await;
    let page = shop.content("dir/").await;
    assert_eq!(page.status, 200);
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    let all = ["a%3Cb%3E%26%22q%22%2525%3A%C3%BC", "b-b", "b.b/", "b/", "c"];
    assert_eq!(names(&page.text), all);
    assert!(
        page.text.contains(">a&lt;b&gt;&amp;&quot;q&quot;%25:ü<"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("<b>"), "{}", page.text);
    let line = page.text.lines().find(|line| line.contains("b-b")).unwrap();
    assert!(line.ends_with(" 3") && line.contains("-20"), "{line}");
    // What is shown leads to the file.
    assert_eq!(shop.content(&format!("dir/{}", all[0])).await.text, "6");
    assert_eq!(names(&shop.content("dir/b/").await.text), ["one", "two"]);
    assert_eq!(names(&shop.content("dir/b.b/deep/").await.text), ["er/"]);
    let head = shop.ask(Method::HEAD, "dir/b/", &[]).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert!(!head.headers.contains_key("content-length"), "{head:?}");
    for nothing in [
        "dir/x/",
        "dir/c/",
        "dir/b-/",
        "dir/b/one/",
        "dir/x",
        "dir/b/on",
        "di",
        "di/",
        "dirt",
    ] {
        let answer = shop.content(nothing).await;
        assert_eq!(answer.status, 404, "{nothing}: {}", answer.text);
        assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
    }
}

#[tokio::test]
async fn a_directory_without_its_slash_is_redirected() {
    let shop = Shop::with("some/place", &[("a/b/file", "x")]).await;
    for (path, location) in [
        ("some/place", "/pulp/content/some/place/"),
        ("some", "/pulp/content/some/"),
        ("some/place/a", "/pulp/content/some/place/a/"),
        (
            "some/place/a/b?x=%20y",
            "/pulp/content/some/place/a/b/?x=%20y",
        ),
        ("some/pl%61ce/a%2Fb", "/pulp/content/some/pl%61ce/a%2Fb/"),
    ] {
        let answer = shop.content(path).await;
        assert_eq!(answer.status, 301, "{path}");
        assert_eq!(header(&answer, "location"), location);
    }
    let answer = shop.raw("/pulp/content").await;
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
}

#[tokio::test]
async fn an_index_is_served_in_place_of_a_listing() {
    let shop = Shop::with(
        "site",
        &[("index.html", "<p>root"), ("sub/index.html", "<p>sub")],
    )
    .await;
    for (path, text) in [("site/", "<p>root"), ("site/sub/", "<p>sub")] {
        let answer = shop.content(path).await;
        assert_eq!(answer.text, text);
        assert_eq!(header(&answer, "content-type"), "text/html");
    }
}

#[tokio::test]
async fn base_paths_are_listed_step_by_step_but_not_hidden_ones() {
    let shop = Shop::with("a/one", &[("file", "x")]).await;
    let empty = shop.repository("empty").await;
    shop.distribute("a/two/three", "repository_id", &empty)
        .await;
    shop.distribute("b", "repository_id", &empty).await;
    shop.distribute("secret/place", "repository_id", &empty)
        .await;
    shop.sql
        .run("UPDATE distribution SET hidden = true WHERE base_path = 'secret/place'")
        .await;
    assert_eq!(names(&shop.content("").await.text), ["a/", "b/"]);
    assert_eq!(names(&shop.content("a/").await.text), ["one/", "two/"]);
    assert_eq!(names(&shop.content("a/two/").await.text), ["three/"]);
    for nothing in [
        "secret/",
        "secret",
        "a/two/three/",
        "a/two/three",
        "b/",
        "b/file",
        "c/",
    ] {
        assert_eq!(shop.content(nothing).await.status, 404, "{nothing}");
    }
    // Hidden is not forbidden.
    shop.publish(&empty, &[("file", "found")]).await;
    assert_eq!(shop.content("secret/place/file").await.text, "found");
}

#[tokio::test]
async fn a_long_listing_is_whole_whatever_else_has_paths_like_these() {
    let shop = Shop::with("long", &[("d/first", "1"), ("d/zz/last", "2")]).await;
    // 5,000 files of the repository, each beside two units of the same path that are not in it, and a
    // directory that only others have.
    shop.sql
        .run(
            "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields) \
             SELECT gen_random_uuid(), d.pulp_id, 'file.file', sha256((n || '-' || k)::bytea), sha256(p::bytea), \
                    jsonb_build_object('relative_path', p, 'digest', n || '-' || k) \
               FROM domain d, generate_series(1, 5000) n, generate_series(1, 3) k, \
                    LATERAL (SELECT CASE WHEN k < 3 THEN 'd/f' || lpad(n::text, 5, '0') ELSE 'd/other/' || n END) x (p); \
             INSERT INTO content_artifact (pulp_id, content_id, relative_path) \
             SELECT gen_random_uuid(), pulp_id, fields ->> 'relative_path' FROM content \
              WHERE fields ->> 'digest' LIKE '%-_'; \
             INSERT INTO repository_content (repository_id, content_id, version_added, repo_key) \
             SELECT r.pulp_id, c.pulp_id, 1, millrace_key_hash(c.repo_key) FROM repository r, content c \
              WHERE c.fields ->> 'digest' LIKE '%-1'",
        )
        .await;
    let expected: Vec<String> = (1..=5000).map(|n| format!("f{n:05}")).collect();
    // As one of few units, and as one of many.
    for units in [5002, 1_000_000] {
        shop.sql
            .run(&format!(
                "DELETE FROM repository_version_count; \
                 INSERT INTO repository_version_count SELECT pulp_id, 'present', 'file.file', {units} \
                   FROM repository_version"
            ))
            .await;
        let page = shop.content("long/d/").await.text;
        let listed = names(&page);
        assert_eq!(listed.len(), 5002);
        assert_eq!(listed[..5000], expected);
        assert_eq!(listed[5000..], ["first", "zz/"]);
        assert!(page.ends_with("</html>\n"));
        assert_eq!(names(&shop.content("long/").await.text), ["d/"]);
        assert_eq!(shop.content("long/d/other/").await.status, 404);
        assert_eq!(shop.content("long/d/other").await.status, 404);
        assert_eq!(shop.content("long/d/zz").await.status, 301);
    }
}
