//! Asks a program on this machine how it is: for containers, which hold no other client that could.

use crate::tls::client::{self, Trust};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(3);
/// A longer first line is no answer of ours.
const LINE_BYTES: u64 = 256;

/// Asks for a path at an address that one of our programs listens on; `listen` is that setting. With `https`, whatever
/// certificate is shown there is taken: nothing secret is sent, and the name in it is another one than this.
///
/// # Errors
/// Nobody answers in time, or the answer is no success.
pub fn probe(listen: &str, https: bool, path: &str) -> Result<()> {
    let address = listen.to_socket_addrs()?.next();
    let address = address.ok_or_else(|| Error::other(format!("`{listen}` is no address")))?;
    let address = reachable(address);
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    if !https {
        return ask(stream, path);
    }
    let config = client::config(Trust::Anybody).map_err(Error::other)?;
    let name = ServerName::from(address.ip());
    let client = ClientConnection::new(Arc::new(config), name).map_err(Error::other)?;
    ask(StreamOwned::new(client, stream), path)
}

fn ask(mut stream: impl Read + Write, path: &str) -> Result<()> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES)).read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    if http && words.next().is_some_and(|status| status.starts_with('2')) {
        return Ok(());
    }
    Err(Error::other(format!(
        "{path} answers `{}`",
        line.trim_end()
    )))
}

/// Who listens everywhere is reached here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What is said of a server that gives this answer to one request.
    fn said_of(answer: &'static str) -> Result<()> {
        let listener = TcpListener::bind("0.0.0.0:0")?;
        let address = listener.local_addr()?.to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            reader.read_line(&mut asked).unwrap();
            assert_eq!(asked, "GET /readyz HTTP/1.0\r\n");
            while asked != "\r\n" {
                asked.clear();
                reader.read_line(&mut asked).unwrap();
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let said = probe(&address, false, "/readyz");
        server.join().unwrap();
        said
    }

    #[test]
    fn only_an_answer_of_success_is_one() {
        said_of("HTTP/1.1 200 OK\r\n\r\n").unwrap();
        said_of("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        for bad in [
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "HTTP/1.1 301 Moved Permanently\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "220 mail.example\r\n",
            "",
        ] {
            let error = said_of(bad).unwrap_err().to_string();
            assert!(error.contains("/readyz answers"), "{error}");
        }
    }

    #[test]
    fn nobody_there_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert!(probe(&address, false, "/readyz").is_err());
        assert!(probe("", false, "/readyz").is_err());
    }
}
