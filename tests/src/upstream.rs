//! A web server that content is fetched from, and that misbehaves as a test says.

mod certificates;
mod connection;

pub use certificates::Authority;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 200 with these bytes.
    Bytes(Vec<u8>),
    /// Another status, with these headers.
    Status(u16, Vec<(String, String)>),
    /// Announces all of these bytes and sends so many of them, then closes.
    Half(Vec<u8>, usize),
    /// 200 with these bytes and no word of how many there will be.
    Unsized(Vec<u8>),
    /// Closes without an answer.
    Nothing,
    /// Never answers.
    Hang,
    /// Announces these bytes, sends so many of them, and goes silent.
    Stall(Vec<u8>, usize),
    /// These bytes, after a while.
    Slow(Vec<u8>, Duration),
    /// These bytes if the request has this header with this value, else 401.
    Needs(String, String, Vec<u8>),
}

impl Reply {
    /// A redirect to this address.
    #[must_use]
    pub fn redirect(to: &str) -> Self {
        Self::Status(302, vec![("location".to_owned(), to.to_owned())])
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The target of the request line: a path, or an address where the server is used as a proxy.
    pub target: String,
    /// Header names, lower case, and values.
    pub headers: Vec<(String, String)>,
}

impl Seen {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    /// Replies by path; the last one stays.
    script: HashMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    open: usize,
    most: usize,
}

/// The server; ends when it is dropped.
pub struct Upstream {
    address: SocketAddr,
    secure: bool,
    state: Arc<Mutex<State>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Upstream {
    /// One without TLS.
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// One with TLS, under a certificate of this authority; with `client`, only for those who have a
    /// certificate of it too.
    pub async fn secure(authority: &Authority, client: bool) -> Self {
        Self::listen(Some(authority.acceptor(client))).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (secure, shared) = (tls.is_some(), Arc::clone(&state));
        let accepting = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // Head and body are written apart: the second would wait for the word that the first came.
                let _ = stream.set_nodelay(true);
                let (tls, state) = (tls.clone(), Arc::clone(&shared));
                served.spawn(async move {
                    match tls {
                        None => connection::serve(stream, &state).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => connection::serve(stream, &state).await,
                            Err(_) => Ok(()),
                        },
                    }
                });
                while served.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            secure,
            state,
            accepting,
        }
    }

    /// The address of a path, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    /// Replies to this path with these, one after another; the last one stays.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let replies = replies.into_iter().collect();
        self.state
            .lock()
            .unwrap()
            .script
            .insert(path.to_owned(), replies);
    }

    /// Serves these bytes under this path.
    pub fn serve(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.script(path, [Reply::Bytes(bytes.into())]);
    }

    /// Takes a path away: 404 from now on.
    pub fn remove(&self, path: &str) {
        self.state.lock().unwrap().script.remove(path);
    }

    /// How often this path was asked for.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|seen| seen.target == path).count()
    }

    /// All requests so far, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// Requests that are being answered now.
    #[must_use]
    pub fn answering(&self) -> usize {
        self.state.lock().unwrap().open
    }

    /// The most requests that were answered at the same time.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.state.lock().unwrap().most
    }

    /// Forgets which requests came.
    pub fn forget(&self) {
        let mut state = self.state.lock().unwrap();
        state.seen.clear();
        state.most = 0;
    }

    /// Serves a directory: these files by their names, and `PULP_MANIFEST` of them all.
    pub fn publish(&self, directory: &str, files: &[(&str, &str)]) {
        let mut manifest = String::new();
        for (name, text) in files {
            self.serve(&format!("{directory}/{name}"), *text);
            manifest += &manifest_line(name, text.as_bytes());
        }
        self.serve(&format!("{directory}/PULP_MANIFEST"), manifest);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The line of a manifest for this file.
#[must_use]
pub fn manifest_line(name: &str, bytes: &[u8]) -> String {
    format!("{name},{},{}\n", sha256(bytes), bytes.len())
}

/// The digest, in hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let mut hashers = millrace_common::storage::Hashers::new(&["sha256".to_owned()]).unwrap();
    hashers.update(bytes);
    hashers.finish().sha256().to_owned()
}
