//! The bytes of a local file on their way to a client.

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::HeaderValue;
use bytes::{Bytes, BytesMut};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// The type of a file that says nothing.
pub const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Bytes of a piece: what is read stays in the processor's cache until it is sent.
const PIECE: usize = 128 * 1024;

/// The answer to HEAD: a size and nothing else, or nothing at all where the size is not known.
pub struct Head(pub Option<u64>);

impl MessageBody for Head {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0.map_or(BodySize::Stream, BodySize::Sized)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

/// A part of a local file. What the system has in memory is read at once, the rest on a thread that may
/// wait for the disk.
pub struct Local {
    file: Arc<File>,
    range: Range<u64>,
    /// The piece before: its memory takes the next one.
    last: Option<Bytes>,
    reading: Option<JoinHandle<io::Result<BytesMut>>>,
}

impl Local {
    /// Opens a file; the bytes of a range that begins at `range.start` follow.
    ///
    /// # Errors
    /// As the file system.
    pub async fn open(path: PathBuf, range: Range<u64>) -> io::Result<Self> {
        let file = tokio::task::spawn_blocking(move || File::open(path)).await??;
        Ok(Self {
            file: Arc::new(file),
            range,
            last: None,
            reading: None,
        })
    }

    fn buffer(&mut self, size: usize) -> BytesMut {
        let used = self.last.take().and_then(|last| last.try_into_mut().ok());
        let mut buffer = match used {
            Some(used) if used.capacity() >= size => used,
            _ => BytesMut::zeroed(size),
        };
        buffer.resize(size, 0);
        buffer
    }

    fn pass(&mut self, piece: BytesMut) -> Option<io::Result<Bytes>> {
        self.range.start += piece.len() as u64;
        let piece = piece.freeze();
        self.last = Some(piece.clone());
        Some(Ok(piece))
    }
}

impl MessageBody for Local {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.range.end.saturating_sub(self.range.start))
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let this = &mut *self;
        if let Some(reading) = &mut this.reading {
            let read = ready!(Pin::new(reading).poll(context));
            this.reading = None;
            return Poll::Ready(match read.map_err(io::Error::other)? {
                Ok(piece) => this.pass(piece),
                Err(error) => Some(Err(error)),
            });
        }
        let left = this.range.end.saturating_sub(this.range.start);
        if left == 0 {
            return Poll::Ready(None);
        }
        let size = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let (mut buffer, at) = (this.buffer(size), this.range.start);
        match read(&this.file, &mut buffer, at, ReadWriteFlags::NOWAIT) {
            Ok(0) => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Ok(read) => {
                buffer.truncate(read);
                Poll::Ready(this.pass(buffer))
            }
            // Not in memory, or a file system that cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => {
                let file = Arc::clone(&this.file);
                this.reading = Some(tokio::task::spawn_blocking(move || wait(&file, buffer, at)));
                self.poll_next(context)
            }
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }
}

fn read(file: &File, buffer: &mut BytesMut, at: u64, how: ReadWriteFlags) -> Result<usize, Errno> {
    preadv2(file, &mut [IoSliceMut::new(buffer)], at, how)
}

fn wait(file: &File, mut buffer: BytesMut, at: u64) -> io::Result<BytesMut> {
    loop {
        match read(file, &mut buffer, at, ReadWriteFlags::empty()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer.truncate(read);
                return Ok(buffer);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
