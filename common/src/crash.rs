//! Crash points: places between two steps at which a test lets a process die, as if its machine had lost power there.
//!
//! Compiled in by the feature `crash-points` only, which the tests' own crates ask for; in the programs that are
//! shipped a point is nothing, and the setting is refused.

use crate::config::SettingsError;

macro_rules! points {
    ($($(#[doc = $doc:literal])* $point:ident = $name:literal,)*) => {
        /// A place to die at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point { $($(#[doc = $doc])* $point,)* }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// As the setting `diagnostics.crash_at` calls it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }
        }
    };
}

points! {
    /// A request's task and reservations are written, not committed.
    DispatchWritten = "dispatch.written",
    /// They are committed; nobody has been told.
    DispatchCommitted = "dispatch.committed",
    /// The broker was sent an announcement and has not confirmed it.
    PublishSent = "publish.sent",
    /// It has confirmed, and the row does not say so.
    PublishConfirmed = "publish.confirmed",
    /// A message is there, its task is not claimed.
    Delivered = "claim.delivered",
    /// The claim is committed, no body runs.
    Claimed = "claim.committed",
    /// The body has returned, nothing of its end is written.
    BodyEnded = "settle.begun",
    /// Last write, final state and promotions are written, not committed.
    SettleWritten = "settle.written",
    /// They are committed; the session holds the locks.
    SettleCommitted = "settle.committed",
    /// The locks are free; successors are not announced.
    SettleReleased = "settle.released",
    /// Successors are announced; the message is not acknowledged.
    SettlePublished = "settle.published",
    /// A worker that stops has put a task back, and told nobody.
    HandedBack = "hand_back.committed",
    /// A janitor has taken a task from a dead worker, and told nobody.
    Rescued = "rescue.committed",
    /// A cancel is committed; what it let start is not announced.
    CancelCommitted = "cancel.committed",
    /// The intent to write a file is committed, no byte is written.
    UploadIntended = "upload.intended",
    /// The file is whole and durable, no row names it.
    UploadWritten = "upload.written",
    /// The row is committed; who uploaded has no answer.
    UploadRecorded = "upload.recorded",
    /// Files are buried, none is removed.
    Buried = "unlink.buried",
    /// They are removed; their tombstones stand.
    Unlinked = "unlink.removed",
    /// An export has noted where it stages its files; nothing is there.
    ExportNoted = "export.noted",
    /// A file of it is written, and has no name yet.
    ExportStaged = "export.staged",
    /// A file has its name; others have none.
    ExportNamed = "export.named",
    /// All have theirs, and are on the disk; the record says nothing of it.
    ExportFinished = "export.finished",
    /// Units are deleted; what they have stored lies there.
    UnitsBuried = "units.buried",
    /// It is removed; its tombstones stand.
    UnitsRemoved = "units.removed",
    /// A check has taken a broken file from units, and told nobody; the file lies there.
    FsckDetached = "fsck.detached",
}

/// Tells this process where to die: `settle.committed`, or `settle.committed:3` for the third time it comes there.
/// Empty: nowhere.
///
/// # Errors
/// Names the setting where no such place is, or where the program has none.
pub fn arm(setting: &str) -> Result<(), SettingsError> {
    if setting.is_empty() {
        return Ok(());
    }
    armed::arm(setting).map_err(|message| SettingsError::Invalid {
        key: "diagnostics.crash_at",
        message,
    })
}

/// Dies here, where [`arm`] said so.
#[inline]
pub fn point(point: Point) {
    armed::pass(point);
}

#[cfg(not(feature = "crash-points"))]
mod armed {
    pub(super) fn arm(_setting: &str) -> Result<(), String> {
        Err("this program is built without crash points".into())
    }

    #[inline]
    pub(super) fn pass(_point: super::Point) {}
}

#[cfg(feature = "crash-points")]
mod armed {
    use super::Point;
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: OnceLock<(Point, AtomicU32)> = OnceLock::new();

    pub(super) fn arm(setting: &str) -> Result<(), String> {
        let (name, passes) = setting.split_once(':').unwrap_or((setting, "1"));
        let point = Point::ALL.iter().find(|point| point.name() == name);
        let passes = passes.parse().ok().filter(|passes| *passes > 0);
        let (Some(point), Some(passes)) = (point, passes) else {
            let names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
            let names = names.join(", ");
            return Err(format!(
                "`{setting}` is not one of {names}, with :N for the Nth time"
            ));
        };
        // A process is told once, at its start.
        let _ = ARMED.set((*point, AtomicU32::new(passes)));
        Ok(())
    }

    pub(super) fn pass(point: Point) {
        let Some((armed, passes)) = ARMED.get() else {
            return;
        };
        if *armed != point || passes.fetch_sub(1, Ordering::Relaxed) != 1 {
            return;
        }
        log::warn!("dying at {}", point.name());
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
