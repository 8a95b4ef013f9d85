//! Opening a session: all of them come from here, so all are encrypted as the address says.

use super::encrypt::{Connector, Encrypt, EncryptError};
use super::line::Line;
use super::lookout::{Kind, Lookout};
use super::{Backend, Conn};
use crate::cause;
use crate::config::{Database, Encryption};
use crate::error::Error;
use crate::tls::client::{self, Trust};
use diesel::sql_query;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use log::warn;
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What was connected: a session, the server process that serves it, and its line, where that can be lost.
pub(super) struct Connected {
    pub(super) conn: Conn,
    pub(super) backend: Backend,
    pub(super) line: Option<Arc<Line>>,
}

/// A session under this application name, on which these statements have run. `lookout`, if any, watches over it.
///
/// # Errors
/// [`Error::Unavailable`], also where the server is not whom the address wants.
pub(super) async fn connect(
    settings: &Database,
    name: &str,
    setup: &str,
    lookout: Option<(&Arc<Lookout>, Kind)>,
) -> Result<Connected, Error> {
    let (mut conn, line) = open(settings, name)
        .await
        .map_err(|source| Error::Unavailable {
            what: "database",
            source,
        })?;
    // The planner switches of the engine's functions make costs that would have each of their
    // statements compiled, for a hundred times what it takes to run it.
    conn.batch_execute(&format!("SET jit = off; {setup}"))
        .await?;
    let backend: Backend =
        sql_query("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
            .get_result(&mut conn)
            .await?;
    if let (Some((lookout, kind)), Some(line)) = (lookout, &line) {
        lookout.add(&backend, line, kind);
    }
    Ok(Connected {
        conn,
        backend,
        line,
    })
}

/// The session, and its line: none where a socket of this machine leads to the server.
async fn open(settings: &Database, name: &str) -> Result<(Conn, Option<Arc<Line>>), Cause> {
    let (url, encryption) = Encryption::take_from(settings.url.expose())?;
    let mut config: Config = url.parse()?;
    config
        .application_name(name.chars().take(63).collect::<String>())
        .connect_timeout(settings.connect_timeout_ms.get())
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(10));
    let is_local = |host: &Host| matches!(host, Host::Unix(_));
    let hosts = config.get_hosts().to_vec();
    if !hosts.is_empty() && hosts.iter().all(is_local) && config.get_hostaddrs().is_empty() {
        let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
        let conn = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
        return Ok((conn, None));
    }
    if hosts.is_empty() {
        // The client library wants a name to encrypt for, be it that of a number.
        for address in config.get_hostaddrs().to_vec() {
            config.host(address.to_string());
        }
    }
    let roots = async |by| client::certificates_of(by).await.map_err(Cause::from);
    let (encrypt, trust) = match &encryption {
        Encryption::Disable => (Encrypt::No, Trust::Anybody),
        Encryption::Prefer => (Encrypt::IfOffered, Trust::Anybody),
        Encryption::Require => (Encrypt::Yes, Trust::Anybody),
        Encryption::VerifyCa(by) => (Encrypt::Yes, Trust::SignedBy(roots(by).await?)),
        Encryption::VerifyFull(by) => (Encrypt::Yes, Trust::Named(roots(by).await?)),
    };
    let is_direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
    let encrypt = match encrypt {
        Encrypt::Yes if is_direct => Encrypt::Direct,
        Encrypt::IfOffered if is_direct => {
            return Err("sslnegotiation=direct needs sslmode=require, or more".into());
        }
        encrypt => encrypt,
    };
    let line = Arc::new(Line::default());
    let mut connector = Connector {
        encrypt,
        tls: MakeRustlsConnect::new(client::config(trust)?),
        line: Arc::clone(&line),
    };
    config
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    let connected = match config.connect(connector.clone()).await {
        Err(error) if encrypt == Encrypt::IfOffered && is_of_encryption(&error) => {
            connector.encrypt = Encrypt::No;
            match config.connect(connector).await {
                Ok(connected) => {
                    say_that_it_is_plain(&error);
                    Ok(connected)
                }
                // Encryption was not what was wrong: the first error tells more.
                Err(_) => Err(error),
            }
        }
        connected => connected,
    };
    let (client, connection) = connected?;
    let conn = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
    Ok((conn, Some(line)))
}

/// Once a process.
fn say_that_it_is_plain(error: &tokio_postgres::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let why = cause::chain(error);
        warn!("sessions with the database are not encrypted, as sslmode=prefer allows: {why}");
    });
}

/// True where it might do without encryption: the handshake failed, or the server lets nobody in this way
/// (`hostnossl`). What is wrong with the address is no reason to send it in the clear.
fn is_of_encryption(error: &tokio_postgres::Error) -> bool {
    if let Some(code) = error.code() {
        return *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION;
    }
    let source = error.source().and_then(|source| source.downcast_ref());
    // A name that no certificate can have is refused before the handshake.
    matches!(source, Some(EncryptError::Handshake(error)) if error.kind() != io::ErrorKind::InvalidInput)
}
