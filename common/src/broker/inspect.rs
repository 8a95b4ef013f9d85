//! A look at the broker that changes nothing there, for `doctor`.

use super::connect::{connect, tls};
use super::link::BrokerError;
use super::topology::{DEAD_EXCHANGE, DEAD_QUEUE, DISPATCH_EXCHANGE, EVENTS_EXCHANGE, queue_of};
use crate::config::Broker;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use rustls::pki_types::ServerName;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

/// What a passive look found.
#[derive(Debug)]
pub struct Inspection {
    /// The version that the broker tells whoever connects.
    pub version: Option<String>,
    /// Our exchanges that are missing.
    pub missing_exchanges: Vec<&'static str>,
    /// A queue for each class that was asked for, then that of dead letters.
    pub queues: Vec<QueueState>,
}

/// A queue as a passive declaration shows it.
#[derive(Debug)]
pub struct QueueState {
    /// Its name.
    pub name: String,
    /// Messages that wait and consumers; `None` where there is no such queue.
    pub counts: Option<(u32, u32)>,
}

/// Connects and looks, within the broker's time limit for each step.
///
/// # Errors
/// The broker cannot be reached, or refuses.
pub async fn inspect(settings: &Broker, classes: &[String]) -> Result<Inspection, BrokerError> {
    let limit = settings.timeout_ms.get();
    let properties =
        ConnectionProperties::default().with_connection_name("millrace-api doctor".into());
    let connecting = connect(settings, None, properties);
    let connection = within(limit, "connection.open", connecting).await?;
    let looked = look(&connection, limit, classes).await;
    let _ = timeout(limit, connection.close(200, "bye".into())).await;
    let (missing_exchanges, queues) = looked?;
    Ok(Inspection {
        version: version(settings, limit).await,
        missing_exchanges,
        queues,
    })
}

async fn look(
    connection: &Connection,
    limit: Duration,
    classes: &[String],
) -> Result<(Vec<&'static str>, Vec<QueueState>), BrokerError> {
    let mut missing = Vec::new();
    for (name, kind) in [
        (DISPATCH_EXCHANGE, ExchangeKind::Topic),
        (EVENTS_EXCHANGE, ExchangeKind::Topic),
        (DEAD_EXCHANGE, ExchangeKind::Fanout),
    ] {
        // What is missing costs the channel.
        let channel = within(limit, "channel.open", connection.create_channel()).await?;
        let passive = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        let declared = channel.exchange_declare(name.into(), kind, passive, FieldTable::default());
        match within(limit, "exchange.declare", declared).await {
            Ok(()) => {}
            Err(BrokerError::Client(_)) => missing.push(name),
            Err(error) => return Err(error),
        }
    }
    let mut queues = Vec::new();
    let names = classes.iter().map(|class| queue_of(class));
    for name in names.chain([DEAD_QUEUE.to_owned()]) {
        let channel = within(limit, "channel.open", connection.create_channel()).await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let declared = channel.queue_declare(name.as_str().into(), passive, FieldTable::default());
        let counts = match within(limit, "queue.declare", declared).await {
            Ok(queue) => Some((queue.message_count(), queue.consumer_count())),
            Err(BrokerError::Client(_)) => None,
            Err(error) => return Err(error),
        };
        queues.push(QueueState { name, counts });
    }
    Ok((missing, queues))
}

async fn within<T>(
    limit: Duration,
    what: &'static str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BrokerError> {
    timeout(limit, call)
        .await
        .map_err(|_elapsed| BrokerError::Timeout(limit, what))?
        .map_err(BrokerError::from)
}

/// The client library keeps to itself what the broker says first: asked once more, without a login.
async fn version(settings: &Broker, limit: Duration) -> Option<String> {
    let url = Url::parse(settings.url.expose()).ok()?;
    let host = url.host_str()?.to_owned();
    let asking = async {
        if url.scheme() == "amqp" {
            let address = (host.as_str(), url.port().unwrap_or(5672));
            return greeting(TcpStream::connect(address).await.ok()?).await.ok();
        }
        let address = (host.as_str(), url.port().unwrap_or(5671));
        let plain = TcpStream::connect(address).await.ok()?;
        let connector = TlsConnector::from(tls(settings).await.ok()?);
        let name = ServerName::try_from(host.clone()).ok()?;
        greeting(connector.connect(name, plain).await.ok()?)
            .await
            .ok()
    };
    version_in(&timeout(limit, asking).await.ok()??)
}

/// The first frame.
async fn greeting(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<Vec<u8>> {
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    let mut start = vec![0; 4096];
    let mut length = 0;
    // Until the end of the frame, or of the room for it.
    while let Some(rest) = start.get_mut(length..).filter(|rest| !rest.is_empty()) {
        let more = stream.read(rest).await?;
        length += more;
        if more == 0 || start.get(..length).is_some_and(|s| s.ends_with(b"\xce")) {
            break;
        }
    }
    start.truncate(length);
    Ok(start)
}

/// The entry `version` of the table in a `connection.start` frame.
fn version_in(start: &[u8]) -> Option<String> {
    let key = b"\x07versionS";
    let at = start.windows(key.len()).position(|part| part == key)? + key.len();
    let length = start.get(at..at + 4)?.try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    let text = start.get(at + 4..at + 4 + length)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_the_first_frame_and_nothing_else_is_believed() {
        let frame =
            b"....\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x063.10.8....";
        assert_eq!(version_in(frame).as_deref(), Some("3.10.8"));
        assert_eq!(version_in(b"\x07versionS\xff\xff\xff\xff3"), None);
        assert_eq!(version_in(b"\x07versionS\x00"), None);
        assert_eq!(version_in(b""), None);
    }
}
