//! The way to the server: encrypted as the address says, and watched.

use super::line::{Line, Watched};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::either::Either;

/// SSLRequest: its length, and the code that no version of the protocol has.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Whether to encrypt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encrypt {
    /// Never.
    No,
    /// Where the server does.
    IfOffered,
    /// Always: the server is asked, and refused when it does not.
    Yes,
    /// Always, without asking (`sslnegotiation=direct`).
    Direct,
}

/// Why no way was found. The client library calls either an error of encryption.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncryptError {
    /// The connection failed.
    #[error(transparent)]
    Line(#[from] io::Error),
    /// The server does not encrypt.
    #[error("server does not support TLS")]
    Refused,
    /// Encryption was agreed on, and failed.
    #[error(transparent)]
    Handshake(io::Error),
}

/// Connects. For the client library this is encryption that begins at once, so that it hands over every connection:
/// what it would leave plain itself would not be watched.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) encrypt: Encrypt,
    /// Whom to trust.
    pub(super) tls: MakeRustlsConnect,
    /// What takes note of the connection.
    pub(super) line: Arc<Line>,
}

type Tls<S> = <MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect;
type Encrypted<S> = <MakeRustlsConnect as MakeTlsConnect<S>>::Stream;

/// Connects to one host.
pub(super) struct ToHost<T> {
    encrypt: Encrypt,
    tls: T,
    line: Arc<Line>,
}

impl<S> MakeTlsConnect<S> for Connector
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Watched<Either<S, Encrypted<S>>>;
    type TlsConnect = ToHost<Tls<S>>;
    type Error = EncryptError;

    fn make_tls_connect(&mut self, host: &str) -> Result<ToHost<Tls<S>>, EncryptError> {
        let tls = MakeTlsConnect::<S>::make_tls_connect(&mut self.tls, host);
        Ok(ToHost {
            encrypt: self.encrypt,
            tls: tls.map_err(|error| EncryptError::Handshake(io::Error::other(error)))?,
            line: Arc::clone(&self.line),
        })
    }
}

impl<S, T> TlsConnect<S> for ToHost<T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: TlsConnect<S, Error = io::Error, Future: Send> + Send + 'static,
{
    type Stream = Watched<Either<S, T::Stream>>;
    type Error = EncryptError;
    type Future = BoxFuture<'static, Result<Self::Stream, EncryptError>>;

    fn connect(self, mut stream: S) -> Self::Future {
        async move {
            let stream = if agree(self.encrypt, &mut stream).await? {
                let encrypted = self.tls.connect(stream).await;
                Either::Right(encrypted.map_err(EncryptError::Handshake)?)
            } else {
                Either::Left(stream)
            };
            Ok(Watched::new(stream, self.line))
        }
        .boxed()
    }
}

/// Asks the server where it has to be asked. True: what follows is encrypted.
async fn agree<S>(encrypt: Encrypt, stream: &mut S) -> Result<bool, EncryptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match encrypt {
        Encrypt::No => return Ok(false),
        Encrypt::Direct => return Ok(true),
        Encrypt::IfOffered | Encrypt::Yes => {}
    }
    stream.write_all(&REQUEST).await?;
    match (stream.read_u8().await?, encrypt) {
        (b'S', _) => Ok(true),
        (_, Encrypt::IfOffered) => Ok(false),
        _ => Err(EncryptError::Refused),
    }
}
