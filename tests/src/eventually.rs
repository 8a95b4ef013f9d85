//! Waiting for conditions: never a fixed sleep, always a deadline.

use std::time::{Duration, Instant};

/// Asks again and again until the condition gives a value; panics at the deadline.
///
/// The condition says why it is not yet true: the last reason is shown when the time is over.
#[track_caller]
pub fn eventually<T, F>(deadline: Duration, condition: F) -> impl Future<Output = T>
where
    F: AsyncFnMut() -> Result<T, String>,
{
    let caller = std::panic::Location::caller();
    poll(deadline, condition, caller)
}

async fn poll<T, F>(
    deadline: Duration,
    mut condition: F,
    caller: &'static std::panic::Location<'static>,
) -> T
where
    F: AsyncFnMut() -> Result<T, String>,
{
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match condition().await {
            Ok(value) => return value,
            Err(why) => assert!(
                start.elapsed() < deadline,
                "{caller}: not within {deadline:?}: {why}"
            ),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// `Ok` where the condition holds, else the reason: for use in [`eventually`].
///
/// # Errors
/// The reason.
pub fn holds(condition: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why()) }
}
