//! A client that follows a download.

use super::{End, Progress};
use crate::content::problem::Problem;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::watch;

/// Bytes that are passed on at once.
const PIECE: u64 = 128 * 1024;

/// Where a client stands in a download.
pub struct Following {
    progress: watch::Receiver<Progress>,
    /// The attempt that it follows; there is no changing over to the next one.
    attempt: Option<u32>,
    at: u64,
}

/// What a download has come to before its first byte is passed on.
pub enum Begun {
    /// It can be followed. What has come is not verified yet.
    Here,
    /// All of it is here and right.
    Whole,
    /// It is in the store.
    Stored,
    /// It does not come.
    Not(Problem),
}

impl Following {
    pub(super) fn new(progress: watch::Receiver<Progress>, from: u64) -> Self {
        Self {
            progress,
            attempt: None,
            at: from,
        }
    }

    /// Waits until the first byte can be passed on, or none will be; with `whole`, until all of them can.
    pub async fn begin(&mut self, whole: bool) -> Begun {
        let ready = self
            .progress
            .wait_for(|progress| progress.end.is_some() || (!whole && progress.released > 0));
        let Ok(progress) = ready.await else {
            return Begun::Not(Problem::internal("a download broke down"));
        };
        match &progress.end {
            Some(End::Stored) => Begun::Stored,
            Some(End::Failed(problem)) => Begun::Not(problem.clone()),
            Some(End::Left) => Begun::Not(Problem::internal("a download was left by all but one")),
            Some(End::Whole) => {
                self.attempt = Some(progress.attempt);
                Begun::Whole
            }
            None => {
                self.attempt = Some(progress.attempt);
                Begun::Here
            }
        }
    }

    /// The bytes up to this place, or to the end.
    pub fn into_stream(self, until: Option<u64>) -> impl Stream<Item = io::Result<Bytes>> {
        stream::try_unfold((self, until), async |(mut this, until)| {
            if until.is_some_and(|until| this.at >= until) {
                return Ok(None);
            }
            let Some((file, released)) = this.wait().await? else {
                return Ok(None);
            };
            let end = until.map_or(released, |until| until.min(released));
            let piece = read(file, this.at, end.min(this.at + PIECE)).await?;
            this.at += piece.len() as u64;
            Ok(Some((piece, (this, until))))
        })
    }

    /// Waits for bytes behind the place; none where the file ends there.
    async fn wait(&mut self) -> io::Result<Option<(Arc<File>, u64)>> {
        let (at, mine) = (self.at, self.attempt);
        let moved = self.progress.wait_for(|progress| {
            progress.released > at
                || progress.end.is_some()
                || mine.is_some_and(|mine| mine != progress.attempt)
        });
        let progress = moved.await.map_err(io::Error::other)?;
        let failed = matches!(progress.end, Some(End::Failed(_)));
        if failed || mine.is_some_and(|mine| mine != progress.attempt) {
            return Err(io::Error::other("the source broke off"));
        }
        self.attempt = Some(progress.attempt);
        match &progress.file {
            Some(file) if progress.released > at => Ok(Some((Arc::clone(file), progress.released))),
            _ => Ok(None),
        }
    }
}

async fn read(file: Arc<File>, from: u64, until: u64) -> io::Result<Bytes> {
    let size = usize::try_from(until - from).map_err(io::Error::other)?;
    tokio::task::spawn_blocking(move || {
        let mut piece = BytesMut::zeroed(size);
        file.read_exact_at(&mut piece, from)?;
        Ok(piece.freeze())
    })
    .await?
}
