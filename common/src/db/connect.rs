//! Opening a session: all of them come from here, so all are encrypted as the address says.

use super::Conn;
use crate::config::{Authorities, Database, Encryption};
use crate::error::Error;
use crate::tls::client::{self, Trust};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A session under this application name, on which these statements have run.
///
/// # Errors
/// [`Error::Unavailable`], also where the server is not whom the address wants.
pub(super) async fn connect(settings: &Database, name: &str, setup: &str) -> Result<Conn, Error> {
    let mut conn = open(settings, name)
        .await
        .map_err(|source| Error::Unavailable {
            what: "database",
            source,
        })?;
    // The planner switches of the engine's functions make costs that would have each of their
    // statements compiled, for a hundred times what it takes to run it.
    conn.batch_execute(&format!("SET jit = off; {setup}"))
        .await?;
    Ok(conn)
}

async fn open(settings: &Database, name: &str) -> Result<Conn, Cause> {
    let (url, encryption) = Encryption::take_from(settings.url.expose())?;
    let mut config: Config = url.parse()?;
    config
        .application_name(name.chars().take(63).collect::<String>())
        .connect_timeout(settings.connect_timeout_ms.get())
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(10));
    let (mode, trust) = match encryption {
        Encryption::Disable => (SslMode::Disable, Trust::Anybody),
        Encryption::Prefer => (SslMode::Prefer, Trust::Anybody),
        Encryption::Require => (SslMode::Require, Trust::Anybody),
        Encryption::VerifyCa(by) => (SslMode::Require, Trust::SignedBy(roots(by).await?)),
        Encryption::VerifyFull(by) => (SslMode::Require, Trust::Named(roots(by).await?)),
    };
    let tls = MakeRustlsConnect::new(client::config(trust)?);
    let (client, connection) = config.ssl_mode(mode).connect(tls).await?;
    Ok(AsyncPgConnection::try_from_client_and_connection(client, connection).await?)
}

async fn roots(authorities: Authorities) -> Result<rustls::RootCertStore, Cause> {
    Ok(match authorities {
        Authorities::System => client::system_authorities().await?,
        Authorities::File(file) => client::authorities(&file).await?,
    })
}
