//! Who is trusted with what: credentials, proxies, certificates.

use super::{allowing, downloader, keyring, read, refusal, remote};
use millrace_common::download::Downloader;
use millrace_tests::upstream::{Authority, Reply, Upstream};
use serde_json::json;

fn secret(plain: &str) -> Option<String> {
    Some(keyring().encrypt(plain).unwrap())
}

#[tokio::test]
async fn credentials_and_headers_go_to_the_remotes_own_server_only() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let login = "Basic dTpodXNo".to_owned();
    upstream.script(
        "/basic",
        [Reply::Needs("authorization".into(), login, b"ok".to_vec())],
    );
    upstream.script(
        "/header",
        [Reply::Needs("x-token".into(), "t".into(), b"ok".to_vec())],
    );
    upstream.script("/away", [Reply::redirect(&other.url("/there"))]);
    other.serve("/there", "ok");
    let plain = remote(&upstream.url("/"));
    let text = refusal(&downloader(&plain), &upstream.url("/basic")).await;
    assert!(text.starts_with("401 Unauthorized"), "{text}");
    let mut remote = plain;
    remote.username = secret("u");
    remote.password = secret("hush");
    remote.headers = Some(json!([{"X-Token": "t"}, {"X-Other": "o"}]));
    let downloader = downloader(&remote);
    for path in ["/basic", "/header", "/away"] {
        let bytes = read(&downloader, &upstream.url(path)).await;
        assert_eq!(bytes.unwrap(), b"ok", "{path}");
    }
    let seen = other.seen().remove(0);
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("x-token"), None);
    let agent = seen.header("user-agent").unwrap();
    assert!(agent.starts_with("millrace/"), "{agent}");
}

#[tokio::test]
async fn a_proxy_is_used_with_its_credentials() {
    let proxy = Upstream::start().await;
    proxy.serve("http://nowhere.invalid/a", "ok");
    let mut remote = remote("http://nowhere.invalid/");
    remote.proxy_url = Some(proxy.url(""));
    remote.proxy_username = secret("u");
    remote.proxy_password = secret("hush");
    let bytes = read(&downloader(&remote), "http://nowhere.invalid/a").await;
    assert_eq!(bytes.unwrap(), b"ok");
    let seen = proxy.seen().remove(0);
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dTpodXNo"));
}

#[tokio::test]
async fn a_server_is_trusted_by_the_remotes_own_authority_or_not_at_all() {
    let authority = Authority::new();
    let upstream = Upstream::secure(&authority, false).await;
    upstream.serve("/a", "ok");
    let mut remote = remote(&upstream.url("/"));
    remote.max_retries = Some(0);
    remote.ca_cert = Some(Authority::new().certificate());
    let text = refusal(&downloader(&remote), &upstream.url("/a")).await;
    assert!(text.contains("certificate"), "{text}");
    remote.ca_cert = Some(authority.certificate());
    assert_eq!(
        read(&downloader(&remote), &upstream.url("/a"))
            .await
            .unwrap(),
        b"ok"
    );
    remote.ca_cert = None;
    remote.tls_validation = false;
    assert_eq!(
        read(&downloader(&remote), &upstream.url("/a"))
            .await
            .unwrap(),
        b"ok"
    );
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let authority = Authority::new();
    let upstream = Upstream::secure(&authority, true).await;
    upstream.serve("/a", "ok");
    let mut remote = remote(&upstream.url("/"));
    remote.max_retries = Some(0);
    remote.ca_cert = Some(authority.certificate());
    refusal(&downloader(&remote), &upstream.url("/a")).await;
    let (certificate, key) = authority.client();
    remote.client_cert = Some(certificate);
    remote.client_key = secret(&key);
    assert_eq!(
        read(&downloader(&remote), &upstream.url("/a"))
            .await
            .unwrap(),
        b"ok"
    );
}

#[tokio::test]
async fn a_lost_key_is_told_without_the_credential() {
    let mut remote = remote("http://h/");
    remote.password = Some("v1.00000000.AAAA".to_owned());
    let error = Downloader::new(&remote, &keyring(), &allowing(&[])).err();
    let text = error.unwrap().to_string();
    assert!(
        text.contains("the password of the remote cannot be used"),
        "{text}"
    );
    assert!(!text.contains("AAAA"), "{text}");
}
