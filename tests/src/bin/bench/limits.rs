//! What the disk and the processors give where nothing is around them.

use crate::figures::rate;
use crate::storm::{UPLOAD, UPLOADERS, different};
use anyhow::Context;
use millrace_common::storage::Hashers;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The digests that are on by default.
const DIGESTS: [&str; 4] = ["sha224", "sha256", "sha384", "sha512"];

/// Files of 1 MiB that so many threads as there are uploaders write and fsync in a second, with their directory. They stay, as
/// deleting them would slow down what follows.
///
/// # Errors
/// A disk that does not do it.
pub fn written(dir: &Path, time: Duration) -> anyhow::Result<f64> {
    std::fs::create_dir_all(dir)?;
    side_by_side(UPLOADERS, time, |n| {
        let mut file = File::create(dir.join(n.to_string()))?;
        file.write_all(&different(n))?;
        file.sync_all()?;
        Ok(File::open(dir)?.sync_all()?)
    })
}

/// Pieces of 1 MiB that all processors together hash in a second with all digests.
///
/// # Errors
/// A digest that is not known.
pub fn hashed(time: Duration) -> anyhow::Result<f64> {
    let piece = vec![0x5a; UPLOAD];
    let digests = DIGESTS.map(str::to_owned);
    side_by_side(UPLOADERS, time, |_| {
        let mut hashers = Hashers::new(&digests)?;
        hashers.update(&piece);
        std::hint::black_box(hashers.finish());
        Ok(())
    })
}

fn side_by_side(
    threads: usize,
    time: Duration,
    work: impl Fn(usize) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<f64> {
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    while start.elapsed() < time {
                        work(next.fetch_add(1, Ordering::Relaxed))?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for thread in all {
            thread.join().ok().context("a thread ended badly")??;
        }
        anyhow::Ok(())
    })?;
    Ok(rate(next.into_inner(), start.elapsed()))
}
