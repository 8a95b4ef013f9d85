//! Digests of files in the store, for runs: read as a stream, hashed off the async threads.

use crate::error::Error;
use crate::storage::{Digests, Hashers};
use crate::tasking::{Progress, TaskContext, TaskError};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

/// Bytes hashed at a time.
const HASHED: usize = 1 << 20;

/// Hashes what was read already and the rest of a stream; gives the digests and the bytes in all. Memory is
/// bounded: about a megabyte beside what was read.
///
/// # Errors
/// [`TaskError::Canceled`] when asked to stop, [`TaskError::Internal`] for the store.
pub async fn hash(
    ctx: &TaskContext,
    algorithms: &[String],
    read: BytesMut,
    mut stream: BoxStream<'static, Result<Bytes, Error>>,
    mut progress: Option<&mut Progress>,
) -> Result<(Digests, i64), TaskError> {
    let mut hashers = Hashers::new(algorithms)?;
    let (mut gathered, mut size) = (read, 0);
    loop {
        let next = stream.next().await.transpose()?;
        if let Some(bytes) = &next {
            gathered.extend_from_slice(bytes);
        }
        if gathered.len() >= HASHED || next.is_none() {
            let count = i64::try_from(gathered.len()).map_err(TaskError::internal)?;
            size += count;
            if let Some(progress) = &mut progress {
                progress.add(count).await?;
            }
            ctx.checkpoint()?;
            (hashers, gathered) = ctx
                .blocking(move || {
                    hashers.update(&gathered);
                    gathered.clear();
                    (hashers, gathered)
                })
                .await?;
        }
        if next.is_none() {
            return Ok((hashers.finish(), size));
        }
    }
}
