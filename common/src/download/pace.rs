//! How fast requests may follow each other, and how long to wait between repetitions.

use super::DownloadError;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// First pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(200);
/// Longest pause of ours.
const LONGEST: Duration = Duration::from_secs(30);
/// Longest that a server may make us wait.
const PATIENCE: Duration = Duration::from_secs(300);

/// Lets so many requests a second begin, evenly.
pub struct Pace {
    interval: Option<Duration>,
    next: Mutex<Instant>,
}

impl Pace {
    pub fn new(rate_limit: Option<i32>) -> Self {
        let interval = rate_limit
            .filter(|limit| *limit > 0)
            .map(|limit| Duration::from_secs(1) / limit.unsigned_abs());
        Self {
            interval,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Returns when the next request may begin.
    pub async fn turn(&self) {
        let Some(interval) = self.interval else {
            return;
        };
        let turn = {
            let mut next = self.next.lock().await;
            let turn = (*next).max(Instant::now());
            *next = turn + interval;
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

/// The pauses of one download.
pub struct Pauses {
    left: u32,
    pause: Duration,
}

impl Pauses {
    pub fn new(retries: u32) -> Self {
        Self {
            left: retries,
            pause: FIRST,
        }
    }

    /// How long to wait after this failure; `None`: do not try again.
    pub fn after(&mut self, error: &DownloadError) -> Option<Duration> {
        if !error.is_passing() {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        // Between half and all of it, so that many that failed together come back apart.
        let own = self.pause.mul_f64(rand::random_range(0.5..1.0));
        self.pause = (self.pause * 2).min(LONGEST);
        Some(
            error
                .retry_after()
                .map_or(own, |asked| asked.min(PATIENCE).max(own)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_and_the_server_may_ask_for_more() {
        let broken = DownloadError::broken("http://h/", "gone");
        let mut pauses = Pauses::new(2);
        let first = pauses.after(&broken).unwrap();
        assert!(first <= FIRST && first >= FIRST / 2, "{first:?}");
        assert!(pauses.after(&broken).unwrap() >= FIRST);
        assert!(pauses.after(&broken).is_none());
        let asked = DownloadError::Status {
            status: reqwest::StatusCode::TOO_MANY_REQUESTS,
            url: String::new(),
            retry_after: Some(Duration::from_secs(1000)),
        };
        assert_eq!(Pauses::new(1).after(&asked), Some(PATIENCE));
    }

    #[test]
    fn what_will_not_pass_is_not_repeated() {
        let refused = DownloadError::refused("http://h/", "no");
        assert!(Pauses::new(5).after(&refused).is_none());
    }

    #[tokio::test]
    async fn requests_follow_at_the_given_rate() {
        let pace = Pace::new(Some(100));
        let start = Instant::now();
        for _ in 0..5 {
            pace.turn().await;
        }
        assert!(start.elapsed().as_millis() >= 40);
    }
}
