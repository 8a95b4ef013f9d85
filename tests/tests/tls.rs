//! Connections that are encrypted, and verified.

mod prefer;
mod servers;

use millrace_tests::client::sleep;
use millrace_tests::eventually::holds;
use millrace_tests::upstream::Authority;
use millrace_tests::{TestApp, eventually};
use reqwest::Method;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn an_api_of_https_says_so_in_its_addresses_and_tells_nothing_without() {
    let app = TestApp::builder().https(Authority::new()).start().await;
    app.repository("a").await;
    app.repository("b").await;
    let page = app.get("repositories/?limit=1").await.expect(200);
    let next = page["next"].as_str().unwrap();
    assert!(next.starts_with(app.origin()), "{next}");
    assert!(next.starts_with("https://"), "{next}");

    // Plain HTTP gets no answer of HTTP.
    let address = app.origin().trim_start_matches("https://");
    let mut plain = TcpStream::connect(address).await.unwrap();
    let request = "GET /pulp/api/v3/status/ HTTP/1.1\r\nHost: a\r\n\r\n";
    plain.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(answer.len() < 64, "{answer:?}");

    // The cookies of a session are for https alone.
    let login = app.send(app.request(Method::POST, "login/")).await;
    login.expect(201);
    let cookies = login.headers.get_all("set-cookie");
    let cookies: Vec<_> = cookies.iter().map(|c| c.to_str().unwrap()).collect();
    assert!(!cookies.is_empty(), "{login:?}");
    assert!(cookies.iter().all(|c| c.contains("Secure")), "{cookies:?}");

    let (code, text) = app
        .end_command(&["probe", "/pulp/api/v3/livez/"], &[])
        .await;
    assert_eq!(code, 0, "{text}");
    let stranger = app.client().trusting(&Authority::new().certificate());
    let refused = stranger.try_send(stranger.request(Method::GET, "status/"));
    assert!(refused.await.unwrap_err().is_connect());
    app.finish().await;
}

#[tokio::test]
async fn a_certificate_is_replaced_under_a_running_api() {
    let app = TestApp::builder().https(Authority::new()).start().await;
    let other = Authority::new();
    let client = app.client().trusting(&other.certificate());
    let asked = async || {
        client
            .try_send(client.request(Method::GET, "status/"))
            .await
    };
    assert!(asked().await.is_err());
    let (certificate, key) = other.server("127.0.0.1");
    std::fs::write(app.dir().join("certificate.key"), key).unwrap();
    std::fs::write(app.dir().join("certificate.pem"), certificate).unwrap();
    eventually(Duration::from_secs(30), async || {
        let answer = asked().await.map_err(|e| format!("{e:?}"))?;
        holds(answer.status.is_success(), || answer.text.clone())
    })
    .await;
}

#[tokio::test]
async fn an_api_does_not_start_with_a_certificate_that_is_not_of_its_key() {
    let app = TestApp::start().await;
    let (certificate, _) = Authority::new().server("127.0.0.1");
    let file = |name: &str| app.dir().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("one.pem"), certificate).unwrap();
    for (key, said) in [
        (file("missing.key"), "missing.key: No such file"),
        (file("one.pem"), "one.pem: holds no private key"),
    ] {
        let settings = [
            ("api.certificate_file", file("one.pem")),
            ("api.key_file", key),
        ];
        let settings = settings
            .each_ref()
            .map(|(key, value)| (*key, value.as_str()));
        for command in ["serve", "doctor"] {
            let (code, text) = app.end_command(&[command], &settings).await;
            assert_eq!(code, 1, "{command}: {text}");
            assert!(text.contains(said), "{text}");
        }
    }
    let task = app.dispatch(&sleep(0.0, &[])).await;
    app.cancel(&task).await.expect(200);
    app.finish().await;
}
