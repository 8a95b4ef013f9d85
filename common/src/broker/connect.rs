//! Opening a connection: plain, or by TLS to a broker that is the one of the address.

use crate::config::{Authorities, Broker};
use crate::tls::TlsError;
use crate::tls::client::{self, Trust};
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, runtime};
use rustls::ClientConfig;
use std::io;
use std::sync::Arc;

/// Connects to the broker of the settings, with frames of at most so many bytes unless its address says how many.
///
/// # Errors
/// What the client library says, also of a certificate that is refused.
pub(super) async fn connect(
    settings: &Broker,
    frame_max: Option<u32>,
    properties: ConnectionProperties,
) -> lapin::Result<Connection> {
    let url = settings.url.expose();
    let sign = if url.contains('?') { '&' } else { '?' };
    let uri = format!("{url}{sign}heartbeat={}", settings.heartbeat_seconds);
    let mut uri: AMQPUri = uri
        .parse()
        .map_err(|error: String| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    uri.query.frame_max = uri.query.frame_max.or(frame_max);
    if uri.scheme == AMQPScheme::AMQP {
        // Who names an authority does not want to be heard by everybody. A program that only migrates may be given
        // the one without the other.
        if !settings.ca_file.as_os_str().is_empty() {
            let why = "broker.ca_file verifies nothing where broker.url is not amqps://";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why).into());
        }
        return Connection::connect_uri(uri, properties).await;
    }
    let connector = RustlsConnector::from(tls(settings).await.map_err(io::Error::other)?);
    let connect = async move |uri: AMQPUri, runtime| {
        let host = uri.authority.host.as_str();
        let addresses = tokio::net::lookup_host((host, uri.authority.port)).await?;
        let addresses: Vec<_> = addresses.collect();
        let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
        Ok(stream.into_rustls(&connector, host).await?)
    };
    Connection::connector(uri, runtime::default_runtime()?, connect, properties).await
}

/// How the broker is connected to by TLS.
///
/// # Errors
/// [`TlsError`] with the file of `broker.ca_file`.
pub(super) async fn tls(settings: &Broker) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = client::certificates_of(&Authorities::of(&settings.ca_file)).await?;
    Ok(Arc::new(client::config(Trust::Named(roots))?))
}
