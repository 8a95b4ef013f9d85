//! Files: whole, in parts, and under conditions.

use super::shop::{Shop, header};
use millrace_tests::app::files_below;
use reqwest::Method;

const TEXT: &str = "0123456789abcdefghij";

fn long() -> String {
    (0..40_000).map(|n| format!("{n:09},")).collect()
}

#[tokio::test]
async fn a_file_is_served_with_what_is_known_of_it() {
    let shop = Shop::with(
        "zoo/main",
        &[("a/cat.txt", TEXT), ("dog.tar.gz", "x"), ("none", "")],
    )
    .await;
    let tag = format!("\"{}\"", shop.sha256(TEXT).await);
    for method in [Method::GET, Method::HEAD] {
        let answer = shop
            .ask(
                method.clone(),
                "zoo/main/a/cat.txt",
                &[("accept-encoding", "gzip")],
            )
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text, if method == Method::GET { TEXT } else { "" });
        for (name, value) in [
            ("content-type", "text/plain"),
            ("content-length", "20"),
            ("x-pulp-artifact-size", "20"),
            ("accept-ranges", "bytes"),
            ("etag", &tag),
            ("content-encoding", ""),
        ] {
            assert_eq!(header(&answer, name), value, "{name} of {answer:?}");
        }
        assert!(header(&answer, "last-modified").ends_with(" GMT"));
    }
    let answer = shop.content("zoo/main/dog.tar.gz").await;
    assert_eq!(header(&answer, "content-type"), "application/gzip");
    let answer = shop.content("zoo/main/none").await;
    assert_eq!(header(&answer, "content-type"), "application/octet-stream");
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    // Who has a file needs nothing else of it.
    let answer = shop
        .ask(Method::GET, "zoo/main/none", &[("range", "bytes=0-")])
        .await;
    assert_eq!(answer.status, 416);
}

#[tokio::test]
async fn parts_of_a_file_are_served() {
    let long = long();
    let shop = Shop::with("parts", &[("short", TEXT), ("long", &long)]).await;
    for (path, whole) in [("parts/short", TEXT), ("parts/long", long.as_str())] {
        let size = whole.len();
        let (middle, end) = (size / 2, size - 1);
        for (range, first, last) in [
            ("bytes=0-0".to_owned(), 0, 0),
            (format!("bytes={middle}-"), middle, end),
            (format!("bytes=3-{}", size * 2), 3, end),
            ("bytes=-5".to_owned(), size - 5, end),
            (format!("bytes=1-{}", end - 1), 1, end - 1),
        ] {
            let answer = shop.ask(Method::GET, path, &[("range", &range)]).await;
            assert_eq!(answer.status, 206, "{range}");
            assert_eq!(answer.text, whole[first..=last], "{range}");
            let shown = format!("bytes {first}-{last}/{size}");
            assert_eq!(header(&answer, "content-range"), shown);
            assert_eq!(header(&answer, "x-pulp-artifact-size"), size.to_string());
        }
        for range in ["bytes=0-1,4-5", "bytes=5-1", "pages=1-2", "x"] {
            let answer = shop.ask(Method::GET, path, &[("range", range)]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.text.as_str()),
                (200, whole),
                "{range}"
            );
        }
        let behind = format!("bytes={size}-");
        let answer = shop.ask(Method::GET, path, &[("range", &behind)]).await;
        assert_eq!(answer.status, 416);
        assert_eq!(header(&answer, "content-range"), format!("bytes */{size}"));
        // HEAD knows no parts.
        let answer = shop
            .ask(Method::HEAD, path, &[("range", "bytes=0-1")])
            .await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn conditions_are_honoured() {
    let shop = Shop::with("if", &[("file", TEXT)]).await;
    let whole = shop.content("if/file").await;
    let (tag, date) = (header(&whole, "etag"), header(&whole, "last-modified"));
    let (weak, both) = (format!("W/{tag}"), format!("\"other\", {tag}"));
    let (before, after) = (
        "Mon, 01 Jan 2001 00:00:00 GMT",
        "Tue, 01 Jan 2097 00:00:00 GMT",
    );
    let part = ("range", "bytes=0-3");
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("if-none-match", tag)], 304),
        (&[("if-none-match", &weak)], 304),
        (&[("if-none-match", &both)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"other\"")], 200),
        (&[("if-modified-since", date)], 304),
        (&[("if-modified-since", before)], 200),
        // The path may have had a newer file before.
        (&[("if-modified-since", after)], 200),
        (&[("if-modified-since", "yesterday")], 200),
        (
            &[("if-none-match", "\"other\""), ("if-modified-since", date)],
            200,
        ),
        (&[("if-match", tag)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", &weak)], 412),
        (&[("if-match", "\"other\"")], 412),
        (&[("if-unmodified-since", date)], 200),
        (&[("if-unmodified-since", after)], 200),
        (&[("if-unmodified-since", before)], 412),
        (&[("if-match", tag), ("if-unmodified-since", before)], 200),
        (&[part, ("if-range", tag)], 206),
        (&[part, ("if-range", date)], 206),
        (&[part, ("if-range", &weak)], 200),
        (&[part, ("if-range", "\"other\"")], 200),
        (&[part, ("if-range", before)], 200),
        (&[part, ("if-none-match", tag)], 304),
        (&[part, ("if-match", "\"other\"")], 412),
    ];
    for (headers, status) in cases {
        let answer = shop.ask(Method::GET, "if/file", headers).await;
        assert_eq!(answer.status.as_u16(), *status, "{headers:?}");
        if *status == 304 {
            assert_eq!(answer.text, "");
            assert_eq!(header(&answer, "etag"), tag);
        }
    }
}

#[tokio::test]
async fn a_file_that_is_lost_and_found_is_served_again() {
    let long = long();
    let shop = Shop::with("lost", &[("long", &long)]).await;
    assert_eq!(shop.content("lost/long").await.text, long);
    let [file] = files_below(&shop.media()).try_into().unwrap();
    std::fs::remove_file(file).unwrap();
    let answer = shop.content("lost/long").await;
    assert_eq!(answer.status, 500, "the row says that it is there");
    assert!(!answer.text.contains("long"), "{}", answer.text);
    // Uploaded again, the row names another copy.
    shop.try_upload(long.clone().into_bytes()).await.expect(201);
    assert_eq!(shop.content("lost/long").await.text, long);
}

#[tokio::test]
async fn no_browser_runs_what_is_served() {
    let names = ["a.html", "a.svg", "a.xml", "a.xhtml", "a.txt", "a.js", "a"];
    let files = names.map(|name| (name, "<script>alert()</script>"));
    let shop = Shop::with("run", &files).await;
    for (path, run) in [
        ("run/", true),
        ("", true),
        ("run/a.html", true),
        ("run/a.svg", true),
        ("run/a.xml", true),
        ("run/a.xhtml", true),
        ("run/a.txt", false),
        ("run/a.js", false),
        ("run/a", false),
        ("run/nothing", false),
        ("run", false),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = shop.ask(method, path, &[]).await;
            assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
            let policy = header(&answer, "content-security-policy");
            assert_eq!(
                policy.starts_with("sandbox; default-src 'none'"),
                run,
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_damaged_file_is_not_kept_in_mind() {
    let shop = Shop::with("hurt", &[("small", "as it was")]).await;
    let [file] = files_below(&shop.media()).try_into().unwrap();
    std::fs::write(&file, "as it is!").unwrap();
    assert_eq!(shop.content("hurt/small").await.text, "as it is!");
    std::fs::write(&file, "as it was").unwrap();
    assert_eq!(shop.content("hurt/small").await.text, "as it was");
}

#[tokio::test]
async fn one_of_the_publications_own_files_goes_before_one_of_the_version() {
    let shop = Shop::open().await;
    let repository = shop.repository("own").await;
    let publication = shop
        .publish(&repository, &[("list", "of the version")])
        .await;
    let own = shop.unit("own", "of the publication").await;
    shop.sql
        .run(&format!(
            "INSERT INTO published_artifact SELECT '{publication}', 'list', pulp_id FROM content_artifact \
              WHERE content_id = '{own}'"
        ))
        .await;
    shop.distribute("own", "publication_id", &publication).await;
    assert_eq!(shop.content("own/list").await.text, "of the publication");
    shop.sql
        .run("UPDATE publication SET pass_through = false; DELETE FROM published_artifact")
        .await;
}
