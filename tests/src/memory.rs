//! Memory of processes, in MiB.

/// A line of a file in `/proc`, or 0 where the process is gone.
fn mib(process: u32, file: &str, line: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let found = text.lines().find_map(|l| l.strip_prefix(line));
    let kib: Option<f64> =
        found.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.unwrap_or_default() / 1024.0
}

/// What one of these processes had at most, with the pages of its program.
pub fn peak(processes: impl IntoIterator<Item = u32>) -> f64 {
    let each = processes.into_iter().map(|id| mib(id, "status", "VmHWM:"));
    each.fold(0.0, f64::max)
}

/// What a process had at most without the pages of its own program: of one that is not optimised they are many. They
/// count as shared memory where the program lies in a file system in memory.
pub fn own_peak(process: u32) -> f64 {
    let status = |line| mib(process, "status", line);
    status("VmHWM:") - status("RssFile:") - status("RssShmem:")
}

/// What these processes hold together: resident, and with what they share counted once.
pub fn resident(processes: &[u32]) -> (f64, f64) {
    let sum = |file: &str, line: &str| processes.iter().map(|id| mib(*id, file, line)).sum::<f64>();
    (sum("status", "VmRSS:"), sum("smaps_rollup", "Pss:"))
}
