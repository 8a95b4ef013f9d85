//! One connection: requests read and answered by the script, until it closes.

use super::{Reply, Seen, State};
use std::io::Result;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

pub(super) async fn serve<S>(stream: S, state: &Mutex<State>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read(&mut stream).await? {
        let reply = next(state, &seen);
        state.lock().unwrap().seen.push(seen.clone());
        let _turn = Turn::begin(state);
        if !answer(stream.get_mut(), reply, &seen).await? {
            break;
        }
    }
    stream.get_mut().shutdown().await
}

/// Counts the requests that are being answered.
struct Turn<'a>(&'a Mutex<State>);

impl<'a> Turn<'a> {
    fn begin(state: &'a Mutex<State>) -> Self {
        let mut held = state.lock().unwrap();
        held.open += 1;
        held.most = held.most.max(held.open);
        Self(state)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().open -= 1;
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<Option<Seen>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.split_once(':') else {
            return Ok(Some(Seen { target, headers }));
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
}

fn next(state: &Mutex<State>, seen: &Seen) -> Reply {
    let mut state = state.lock().unwrap();
    let Some(replies) = state.script.get_mut(&seen.target) else {
        return Reply::Status(404, Vec::new());
    };
    if replies.len() > 1 {
        replies.pop_front().unwrap()
    } else {
        replies.front().cloned().unwrap()
    }
}

/// False: the connection ends here.
async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, reply: Reply, seen: &Seen) -> Result<bool> {
    match reply {
        Reply::Bytes(bytes) => whole(stream, 200, &[], &bytes).await,
        Reply::Status(status, headers) => whole(stream, status, &headers, b"").await,
        Reply::Slow(bytes, pause) => {
            tokio::time::sleep(pause).await;
            whole(stream, 200, &[], &bytes).await
        }
        Reply::Needs(name, value, bytes) => {
            if seen.header(&name) == Some(value.as_str()) {
                whole(stream, 200, &[], &bytes).await
            } else {
                whole(stream, 401, &[], b"").await
            }
        }
        Reply::Half(bytes, sent) => {
            head(stream, 200, &[], Some(bytes.len())).await?;
            stream.write_all(&bytes[..sent]).await?;
            Ok(false)
        }
        Reply::Unsized(bytes) => {
            head(stream, 200, &[("connection".into(), "close".into())], None).await?;
            stream.write_all(&bytes).await?;
            Ok(false)
        }
        Reply::Nothing => Ok(false),
        Reply::Hang => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            Ok(false)
        }
        Reply::Stall(bytes, sent) => {
            head(stream, 200, &[], Some(bytes.len())).await?;
            stream.write_all(&bytes[..sent]).await?;
            stream.flush().await?;
            tokio::time::sleep(Duration::from_secs(600)).await;
            Ok(false)
        }
    }
}

async fn whole<S: AsyncWrite + Unpin>(
    stream: &mut S,
    status: u16,
    headers: &[(String, String)],
    bytes: &[u8],
) -> Result<bool> {
    head(stream, status, headers, Some(bytes.len())).await?;
    stream.write_all(bytes).await?;
    stream.flush().await?;
    Ok(true)
}

async fn head<S: AsyncWrite + Unpin>(
    stream: &mut S,
    status: u16,
    headers: &[(String, String)],
    size: Option<usize>,
) -> Result<()> {
    let mut text = format!("HTTP/1.1 {status} Reply\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if let Some(size) = size {
        text += &format!("content-length: {size}\r\n");
    }
    stream.write_all(format!("{text}\r\n").as_bytes()).await
}
