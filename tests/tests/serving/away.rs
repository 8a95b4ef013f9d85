//! Files that are fetched because a client asks for them.

use super::shop::{PREFIX, Shop, header};
use futures_util::future::join_all;
use millrace_tests::eventually;
use millrace_tests::upstream::{Reply, Upstream};
use reqwest::Method;
use std::time::Duration;

const SMALL: &str = "a small file";

fn long() -> String {
    (0..40_000).map(|n| format!("{n:09},")).collect()
}

/// What serves `od/small` and `od/long`, which only the upstream has.
struct Away {
    shop: Shop,
    upstream: Upstream,
    units: Vec<(String, String)>,
}

impl Away {
    async fn open(policy: &str) -> Self {
        let (shop, upstream) = (Shop::open().await, Upstream::start().await);
        let mut away = Self {
            shop,
            upstream,
            units: Vec::new(),
        };
        let mut units = Vec::new();
        for (path, text) in [("small", SMALL.to_owned()), ("long", long())] {
            let sha256 = away.shop.sha256(&text).await;
            let unit = away.shop.bare_unit(path, &sha256).await;
            units.push(unit.clone());
            away.units.push((unit, text));
        }
        away.from("first", policy).await;
        let repository = away.shop.repository("od").await;
        let version = away.shop.version_of(&repository, &units).await;
        away.shop.publication(&version).await;
        away.shop
            .distribute("od", "repository_id", &repository)
            .await;
        away
    }

    /// Another remote that has them.
    async fn from(&self, name: &str, policy: &str) {
        let remote = self.shop.remote(name, policy).await;
        for (path, (unit, text)) in ["small", "long"].into_iter().zip(&self.units) {
            let path = format!("/{name}/{path}");
            self.upstream.serve(&path, text.clone());
            let sha256 = format!("'{}'", self.shop.sha256(text).await);
            let (url, size) = (self.upstream.url(&path), text.len().to_string());
            self.shop.source(unit, &remote, &url, &size, &sha256).await;
        }
    }

    async fn stored(&self) -> i64 {
        let stored = "SELECT count(*) FROM content_artifact WHERE artifact_id IS NOT NULL";
        self.shop.sql.number(stored).await
    }

    async fn failures(&self) -> i64 {
        let failed = "SELECT count(*) FROM remote_artifact WHERE failed_at IS NOT NULL";
        self.shop.sql.number(failed).await
    }

    /// Lets the time pass that sources are left alone.
    async fn forgive(&self) {
        let passed = "UPDATE remote_artifact SET failed_at = failed_at - interval '301 s'";
        self.shop.sql.run(passed).await;
    }

    /// GET that may break off: the status and what came.
    async fn try_get(&self, path: &str) -> (u16, Result<String, reqwest::Error>) {
        let request = self.shop.anonymous(Method::GET, &format!("{PREFIX}{path}"));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await)
    }
}

#[tokio::test]
async fn a_file_is_fetched_once_stored_and_served_from_then_on() {
    let away = Away::open("on_demand").await;
    for (path, text) in [("small", SMALL.to_owned()), ("long", long())] {
        let tag = format!("\"{}\"", away.shop.sha256(&text).await);
        let (target, source) = (format!("od/{path}"), format!("/first/{path}"));
        let head = away.shop.ask(Method::HEAD, &target, &[]).await;
        assert_eq!(head.status, 200);
        let held = away
            .shop
            .ask(Method::GET, &target, &[("if-none-match", &tag)])
            .await;
        assert_eq!(held.status, 304);
        assert_eq!(away.upstream.count(&source), 0, "nobody wanted its bytes");
        for round in 0..3 {
            let answer = away.shop.content(&target).await;
            assert_eq!((answer.status.as_u16(), &answer.text), (200, &text));
            for answer in [&answer, &head] {
                let size = text.len().to_string();
                assert_eq!(header(answer, "x-pulp-artifact-size"), size);
                assert_eq!(header(answer, "content-length"), size);
            }
            // Of a long file the beginning comes before it is verified.
            if round == 0 && path == "long" && header(&answer, "accept-ranges") == "none" {
                assert_eq!(header(&answer, "etag"), "");
                continue;
            }
            for answer in [&answer, &head] {
                assert_eq!(header(answer, "etag"), tag);
                assert_eq!(header(answer, "accept-ranges"), "bytes");
            }
        }
        assert_eq!(away.upstream.count(&source), 1);
    }
    assert_eq!(away.stored().await, 2);
    let left = "SELECT (SELECT count(*) FROM intent) + (SELECT count(*) FROM tombstone)";
    assert_eq!(away.shop.sql.number(left).await, 0);
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_request() {
    let away = Away::open("on_demand").await;
    let text = long();
    let slow = Reply::Slow(text.clone().into_bytes(), Duration::from_millis(500));
    away.upstream.script("/first/long", [slow]);
    let asked = (0..30).map(async |n: usize| {
        if !n.is_multiple_of(3) {
            let answer = away.shop.content("od/long").await;
            assert_eq!((answer.status.as_u16(), &answer.text), (200, &text));
            return;
        }
        let (first, last) = (n * 10_000, n * 10_000 + 70_000);
        let range = format!("bytes={first}-{last}");
        let answer = away
            .shop
            .ask(Method::GET, "od/long", &[("range", &range)])
            .await;
        assert_eq!(answer.status, 206);
        assert_eq!(answer.text, text[first..=last.min(text.len() - 1)]);
    });
    join_all(asked).await;
    assert_eq!(away.upstream.count("/first/long"), 1);
    assert_eq!(away.stored().await, 1);
}

#[tokio::test]
async fn what_is_streamed_is_not_stored() {
    let away = Away::open("streamed").await;
    let text = long();
    for round in 1..=2 {
        assert_eq!(away.shop.content("od/long").await.text, text);
        assert_eq!(away.upstream.count("/first/long"), round);
    }
    let range = [("range", "bytes=-9")];
    let answer = away.shop.ask(Method::GET, "od/long", &range).await;
    assert_eq!(answer.text, text[text.len() - 9..]);
    assert_ne!(header(&answer, "etag"), "", "all of it was verified");
    assert_eq!(away.stored().await, 0);
    assert_eq!(
        away.shop.sql.number("SELECT count(*) FROM artifact").await,
        0
    );
}

#[tokio::test]
async fn a_wrong_file_is_never_taken_for_a_whole_one() {
    let away = Away::open("on_demand").await;
    let mut wrong = long().into_bytes();
    *wrong.last_mut().unwrap() = b'!';
    away.upstream.serve("/first/long", wrong.clone());
    away.upstream.serve("/first/small", "a small lie!");
    let (status, text) = away.try_get("od/long").await;
    // Its beginning may come before its end is known.
    assert!(status == 404 || text.is_err(), "all of it came");
    // A part of it is not given at all.
    away.forgive().await;
    let range = [("range", "bytes=0-3")];
    let answer = away.shop.ask(Method::GET, "od/long", &range).await;
    assert_eq!(answer.status, 404);
    // Nothing of a small one is passed on before all of it is verified.
    assert_eq!(away.try_get("od/small").await.0, 404);
    assert_eq!((away.stored().await, away.failures().await), (0, 2));
    // Left alone for a while, though it would be right now.
    away.upstream.serve("/first/long", long());
    assert_eq!(away.try_get("od/long").await.0, 404);
    assert_eq!(away.upstream.count("/first/long"), 2);
    assert_eq!(
        away.shop.ask(Method::HEAD, "od/long", &[]).await.status,
        404
    );
    away.forgive().await;
    assert_eq!(away.shop.content("od/long").await.text, long());
}

#[tokio::test]
async fn the_next_source_is_tried() {
    let away = Away::open("on_demand").await;
    // The newest remote goes first.
    away.from("second", "on_demand").await;
    away.upstream.serve("/second/small", "of the wrong size");
    away.upstream.remove("/second/long");
    assert_eq!(away.shop.content("od/small").await.text, SMALL);
    assert_eq!(away.shop.content("od/long").await.text, long());
    for path in [
        "/second/small",
        "/second/long",
        "/first/small",
        "/first/long",
    ] {
        assert_eq!(away.upstream.count(path), 1, "{path}");
    }
}

#[tokio::test]
async fn a_source_that_breaks_off_is_asked_again() {
    let away = Away::open("on_demand").await;
    let text = long();
    away.upstream.script(
        "/first/long",
        [
            Reply::Half(text.clone().into_bytes(), 200_000),
            Reply::Nothing,
            Reply::Bytes(text.clone().into_bytes()),
        ],
    );
    let (status, broken) = away.try_get("od/long").await;
    assert!(status == 503 || broken.is_err(), "{status} {broken:?}");
    let answer = away.shop.content("od/long").await;
    assert_eq!(answer.status, 503, "it may come back");
    assert_ne!(header(&answer, "retry-after"), "");
    assert_eq!(away.shop.content("od/long").await.text, text);
    assert_eq!(away.failures().await, 0);
}

#[tokio::test]
async fn a_fault_of_ours_is_none_of_the_sources() {
    let away = Away::open("on_demand").await;
    let (media, aside) = (away.shop.media(), away.shop.dir().join("aside"));
    std::fs::rename(&media, &aside).unwrap();
    let answer = away.shop.content("od/small").await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(away.failures().await, 0);
    std::fs::rename(&aside, &media).unwrap();
    assert_eq!(away.shop.content("od/small").await.text, SMALL);
}

#[tokio::test]
async fn a_download_goes_on_when_its_client_leaves() {
    let away = Away::open("on_demand").await;
    let slow = Reply::Slow(long().into_bytes(), Duration::from_millis(300));
    away.upstream.script("/first/long", [slow]);
    let request = away
        .shop
        .anonymous(Method::GET, &format!("{PREFIX}od/long"));
    let left = request.timeout(Duration::from_millis(100)).send().await;
    assert!(left.is_err());
    eventually(Duration::from_secs(20), async || {
        let stored = away.stored().await;
        (stored == 1)
            .then_some(())
            .ok_or_else(|| "not stored".to_owned())
    })
    .await;
    assert_eq!(away.shop.content("od/long").await.text, long());
    assert_eq!(away.upstream.count("/first/long"), 1);
}

#[tokio::test]
async fn a_streamed_download_that_is_left_counts_against_nobody() {
    let away = Away::open("streamed").await;
    away.from("second", "streamed").await;
    let slow = Reply::Slow(long().into_bytes(), Duration::from_millis(300));
    away.upstream.script("/second/long", [slow]);
    let request = away
        .shop
        .anonymous(Method::GET, &format!("{PREFIX}od/long"));
    let left = request.timeout(Duration::from_millis(100)).send().await;
    assert!(left.is_err());
    eventually(Duration::from_secs(20), async || {
        let over = away.upstream.count("/second/long") == 1 && away.upstream.answering() == 0;
        over.then_some(())
            .ok_or_else(|| "still answering".to_owned())
    })
    .await;
    for _ in 0..2 {
        assert_eq!(away.shop.content("od/long").await.text, long());
    }
    assert_eq!(away.upstream.count("/first/long"), 0);
    assert_eq!(away.failures().await, 0);
}

#[tokio::test]
async fn nothing_need_be_known_of_a_file() {
    let away = Away::open("on_demand").await;
    let changed = "UPDATE remote_artifact SET size = NULL, sha256 = NULL";
    away.shop.sql.run(changed).await;
    away.upstream
        .script("/first/long", [Reply::Unsized(long().into_bytes())]);
    let head = away.shop.ask(Method::HEAD, "od/long", &[]).await;
    assert_eq!(head.status, 200);
    assert!(!head.headers.contains_key("content-length"), "{head:?}");
    let range = [("range", "bytes=0-1")];
    let answer = away.shop.ask(Method::GET, "od/long", &range).await;
    assert_eq!((answer.status.as_u16(), answer.text), (200, long()));
    assert_eq!(away.stored().await, 1);
    let answer = away.shop.ask(Method::GET, "od/long", &range).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (206, "00"));
}
