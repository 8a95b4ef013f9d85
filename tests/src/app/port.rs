//! Ports for what a test starts.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, Permissions, create_dir_all, set_permissions};
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

/// Below the ports from which Linux serves connections that go out (32768 to 60999, unless told otherwise), and
/// not where our own servers are (24814 to 24820).
const PORTS: Range<u16> = 10_000..24_000;

static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port for this process alone, until it ends: nothing listens on it, and no other process of the tests is given
/// it in the meantime. A lock on a file is what tells; the system ends it with the process, however that ends.
///
/// # Panics
/// Where all are taken.
#[must_use]
pub fn free_port() -> u16 {
    let dir = std::env::temp_dir().join("millrace-test-ports");
    create_dir_all(&dir).unwrap();
    // For all users of the machine; only who made it may say so.
    let _ = set_permissions(&dir, Permissions::from_mode(0o1777));
    let mut held = HELD.lock().unwrap();
    // Processes begin at different places, so that they seldom meet.
    let begin = u16::try_from(std::process::id() % 700).unwrap() * 20;
    let ports = PORTS.skip(usize::from(begin)).chain(PORTS);
    for port in ports {
        let path = dir.join(port.to_string());
        // Whoever may read it may lock it.
        let file = File::open(&path).or_else(|_| File::create(&path)).unwrap();
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            held.push(file);
            return port;
        }
    }
    panic!("no port from {} to {} is free", PORTS.start, PORTS.end);
}
