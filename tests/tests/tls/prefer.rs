//! A database that says it speaks TLS and does not.

use crate::chaos::world::address;
use millrace_tests::TestApp;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What a client sends first that wants TLS.
const WANTS_TLS: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Passes on what is not encrypted; who wants TLS is told yes, and then hears nothing of it.
async fn serve(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut first = [0; 8];
    client.read_exact(&mut first).await?;
    if first == WANTS_TLS {
        client.write_all(b"S").await?;
        client.read_exact(&mut first).await?;
        return client.write_all(b"no handshake").await;
    }
    let mut server = TcpStream::connect(server).await?;
    server.write_all(&first).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

#[tokio::test]
async fn prefer_does_without_tls_where_the_handshake_fails_and_require_does_not() {
    let app = TestApp::start().await;
    let server = address(&app.db.url());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, server));
        }
    });
    let mut url = url::Url::parse(&app.db.url()).unwrap();
    url.set_port(Some(there.port())).unwrap();
    for (mode, line) in [
        ("", "ok database.encryption none"),
        ("?sslmode=prefer", "ok database.encryption none"),
        ("?sslmode=require", "FAIL database.connection"),
        // What is wrong with the address is no reason to go on in the clear.
        (
            "?sslmode=prefer&sslnegotiation=direct",
            "FAIL database.connection",
        ),
    ] {
        let url = format!("{url}{mode}");
        let (_, text) = app
            .end_command(&["doctor"], &[("database.url", &url)])
            .await;
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words.join(" ").contains(line), "{mode}: {line}: {text}");
    }
}
