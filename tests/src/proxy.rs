//! A TCP proxy whose line a test can cut, stall, delay and leave half open.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a line does with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Passes it on.
    Open,
    /// Is cut: connections end by a reset, new ones too.
    Cut,
    /// Keeps what clients send, as a full buffer does; new connections come about, and say nothing.
    StalledUp,
    /// Keeps what the server sends.
    StalledDown,
    /// Passes it on so much later, each way.
    Delayed(Duration),
}

impl Line {
    fn holds(self, up: bool) -> bool {
        match self {
            Self::StalledUp => up,
            Self::StalledDown => !up,
            _ => false,
        }
    }
}

/// A line to one server; ends with its value.
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    /// Connections that were begun at another count are dead ends: nobody hears from the other side again.
    forgotten: watch::Sender<u64>,
    accepting: tokio::task::JoinHandle<()>,
    /// One is kept here, one for those to come, and one by each connection.
    open: Arc<()>,
}

impl Proxy {
    /// An open line to this server, from a port of its own.
    pub async fn to(server: SocketAddr) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), server).await
    }

    /// An open line from this address.
    pub async fn at(address: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, seen) = watch::channel(Line::Open);
        let (forgotten, dead) = watch::channel(0);
        let open = Arc::new(());
        let kept = Arc::clone(&open);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let connecting = connect(client, server, seen.clone(), dead.clone());
                let kept = Arc::clone(&kept);
                connections.spawn(async move {
                    connecting.await;
                    drop(kept);
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            line,
            forgotten,
            accepting,
            open,
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are over it.
    #[must_use]
    pub fn connections(&self) -> usize {
        Arc::strong_count(&self.open).saturating_sub(2)
    }

    /// The address of a server, by way of this line.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_ip_host(self.address.ip()).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// From now on the line is like that.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// Leaves all present connections half open: what is sent is swallowed, the end of either side is told to
    /// nobody. New ones are as the line is.
    pub fn forget_connections(&self) {
        self.forgotten.send_modify(|count| *count += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connect(
    client: TcpStream,
    server: SocketAddr,
    line: watch::Receiver<Line>,
    mut forgotten: watch::Receiver<u64>,
) {
    let begun = *forgotten.borrow();
    if *line.borrow() == Line::Cut {
        let _ = client.set_zero_linger();
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let (mut cut, up, down) = (line.clone(), line.clone(), line);
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let _ = (client.set_zero_linger(), server.set_zero_linger());
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let forwarding = async {
        tokio::join!(
            forward(from_client, to_server, true, up),
            forward(from_server, to_client, false, down)
        );
    };
    // What is waited for is a guard, which may not be kept.
    let is_cut = async { drop(cut.wait_for(|line| *line == Line::Cut).await) };
    let is_forgotten = async { drop(forgotten.wait_for(|now| *now != begun).await) };
    // Kept to the end of this function: what is forgotten stays open on both sides.
    tokio::pin!(forwarding);
    tokio::select! {
        () = &mut forwarding => {}
        () = is_cut => {}
        () = is_forgotten => std::future::pending().await,
    }
}

/// Passes bytes one way until either side has ended.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    up: bool,
    mut line: watch::Receiver<Line>,
) -> Option<io::Error> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) => return to.shutdown().await.err(),
            Ok(read) => read,
            Err(error) => return Some(error),
        };
        let now = *line.wait_for(|line| !line.holds(up)).await.ok()?;
        if let Line::Delayed(by) = now {
            tokio::time::sleep(by).await;
        }
        if let Err(error) = to.write_all(buffer.get(..read)?).await {
            return Some(error);
        }
    }
}
