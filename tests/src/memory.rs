//! Memory of processes, in MiB.

use crate::TestApp;
use crate::process::Process;

/// A line of a file in `/proc`. `None`: the process is gone.
fn find(process: u32, file: &str, line: &str) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
    let rest = text.lines().find_map(|l| l.strip_prefix(line))?;
    let kib: f64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

fn status(process: u32, line: &str) -> f64 {
    find(process, "status", line).unwrap_or_else(|| panic!("process {process} is gone"))
}

/// What one of these processes had at most, with the pages of its program.
pub fn peak(processes: impl IntoIterator<Item = u32>) -> f64 {
    let each = processes.into_iter().map(|id| status(id, "VmHWM:"));
    each.fold(0.0, f64::max)
}

/// What one of the workers had at most.
pub fn peak_of_workers(app: &TestApp) -> f64 {
    peak(app.workers.iter().map(Process::id))
}

/// What a process had at most without the pages of its own program: of one that is not optimised they are many. They
/// count as shared memory where the program lies in a file system in memory.
pub fn own_peak(process: u32) -> f64 {
    let of = |line| status(process, line);
    of("VmHWM:") - of("RssFile:") - of("RssShmem:")
}

/// What these processes hold together, as far as they live: resident, and with what they share counted once.
pub fn resident(processes: &[u32]) -> (f64, f64) {
    let sum = |file: &str, line: &str| {
        processes
            .iter()
            .filter_map(|id| find(*id, file, line))
            .sum::<f64>()
    };
    (sum("status", "VmRSS:"), sum("smaps_rollup", "Pss:"))
}
