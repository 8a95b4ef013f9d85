//! The judgement of lines whose answers are slow.

use super::super::line::Watched;
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// A lookout that cannot look, and a session that has asked something.
struct Asked {
    lookout: Arc<Lookout>,
    line: Arc<Line>,
    backend: Backend,
    kind: Kind,
    near: Watched<DuplexStream>,
    _far: DuplexStream,
}

impl Asked {
    async fn of(lookout: &Arc<Lookout>, pid: i32, kind: Kind) -> Self {
        let (near, far) = duplex(1 << 16);
        let line = Arc::new(Line::default());
        let mut near = Watched::new(near, Arc::clone(&line));
        near.write_all(&[0, 0, 0, 4]).await.unwrap();
        let backend = Backend {
            pid,
            backend_start: Utc::now(),
        };
        lock(&lookout.lines).all.push(Entry {
            backend: backend.clone(),
            line: Arc::downgrade(&line),
            kind,
            suspected: None,
        });
        Self {
            lookout: Arc::clone(lookout),
            line,
            backend,
            kind,
            near,
            _far: far,
        }
    }

    /// As the lookout has it now.
    fn slow(&self) -> Slow {
        let mut lines = lock(&self.lookout.lines);
        let entry = lines
            .all
            .iter_mut()
            .find(|entry| entry.backend == self.backend);
        Slow {
            backend: self.backend.clone(),
            line: Arc::clone(&self.line),
            kind: self.kind,
            suspected: entry.unwrap().suspected.take(),
        }
    }

    /// The reader finds nothing.
    async fn read_nothing(&mut self) {
        let mut buffer = [0; 8];
        let reading = timeout(Duration::from_millis(1), self.near.read(&mut buffer));
        reading.await.unwrap_err();
    }

    fn is_cut(&self) -> bool {
        self.line.quiet().is_none()
    }
}

fn lookout() -> Arc<Lookout> {
    let settings = crate::config::Settings::from_variables::<&str, &str>(None, []).unwrap();
    Lookout::new(&settings.database, "test")
}

#[tokio::test]
async fn a_lost_session_is_cut_by_two_looks_and_takes_with_it_those_that_stand_still() {
    let lookout = lookout();
    let mut first = Asked::of(&lookout, 1, Kind::Owned).await;
    tokio::time::sleep(LOST).await;
    let mut second = Asked::of(&lookout, 2, Kind::Pooled).await;
    let third = Asked::of(&lookout, 3, Kind::Pooled).await;
    first.read_nothing().await;
    let now = Instant::now();
    lookout.judge(&[first.slow()], &[true], now);
    lookout.judge(&[first.slow(), second.slow()], &[false, false], now);
    assert!(!first.is_cut(), "one look");
    // The reader of the third has not looked since: its thread is busy.
    first.read_nothing().await;
    second.read_nothing().await;
    let opened = Instant::now();
    let slow = [first.slow(), second.slow(), third.slow()];
    lookout.judge(&slow, &[false; 3], now);
    assert_eq!(
        lookout.doomed.all(),
        [second.backend.clone()],
        "nobody relies on pooled ones"
    );
    assert!(first.is_cut() && second.is_cut() && !third.is_cut());
    assert!(lookout.doubts(opened) && !lookout.doubts(Instant::now()));
}

#[tokio::test]
async fn the_time_of_an_outage_is_not_counted() {
    let lookout = lookout();
    let mut asked = Asked::of(&lookout, 1, Kind::Owned).await;
    tokio::time::sleep(LOST).await;
    lookout.judge(&[asked.slow()], &[false], Instant::now());
    for (not_before, is_cut) in [(Duration::from_secs(60), false), (Duration::ZERO, true)] {
        asked.read_nothing().await;
        lookout.judge(&[asked.slow()], &[false], Instant::now() + not_before);
        assert_eq!(asked.is_cut(), is_cut);
    }
}

#[tokio::test]
async fn a_session_that_is_quiet_for_a_moment_is_left_alone() {
    let lookout = lookout();
    let mut asked = Asked::of(&lookout, 1, Kind::Owned).await;
    for _ in 0..3 {
        asked.read_nothing().await;
        lookout.judge(&[asked.slow()], &[false], Instant::now());
    }
    assert!(!asked.is_cut());
}
