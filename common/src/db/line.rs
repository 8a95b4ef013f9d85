//! A session's connection, watched: whether the server owes an answer, and since when nothing came. What both sides send
//! is read off the frames of PostgreSQL's protocol, inside of any encryption. Nothing here may use COPY FROM STDIN: its
//! first Sync has no answer of its own.

use futures_util::task::AtomicWaker;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};
use tokio_util::either::Either;

/// What is known of one connection, of one attempt to connect after the other. The connection has it, the lookout asks
/// for it.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<State>,
    reader: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// Questions whose answer has not come to its end. One that is sent in parts counts with its last.
    owed: u32,
    /// When an answer came nearer, or the first of these questions was asked.
    moved: Option<Instant>,
    /// Bytes sent since something came: they may be on their way.
    sent: u64,
    /// How often nothing was there to be read.
    waits: u64,
    is_cut: bool,
}

/// What a line was like at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    moved: Option<Instant>,
    waits: u64,
}

impl Line {
    /// How long nothing has come of an answer that is owed, less the time that what was sent may need. `None`: nothing is
    /// owed, or the line is cut.
    pub(super) fn quiet(&self) -> Option<Duration> {
        let state = self.state();
        if state.owed == 0 || state.is_cut {
            return None;
        }
        let way = Duration::from_millis(state.sent / BYTES_A_MILLISECOND);
        Some(state.moved?.elapsed().saturating_sub(way))
    }

    /// Lets who reads look whether there is something to be read, and says what the line is like before that.
    pub(super) fn nudge(&self) -> Mark {
        let state = self.state();
        let mark = Mark {
            moved: state.moved,
            waits: state.waits,
        };
        drop(state);
        self.reader.wake();
        mark
    }

    /// True where nothing has moved since then, although somebody has looked.
    pub(super) fn stands_still_since(&self, mark: Mark) -> bool {
        let state = self.state();
        state.moved == mark.moved && state.waits > mark.waits
    }

    /// Ends the connection here: whoever waits on it gets an error.
    pub(super) fn cut(&self) {
        self.state().is_cut = true;
        self.reader.wake();
    }

    /// True after a cut.
    pub(super) fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers: a panic leaves them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ask(&mut self) {
        if self.owed == 0 {
            self.moved = Some(Instant::now());
        }
        self.owed += 1;
    }

    fn receive(&mut self) {
        self.moved = Some(Instant::now());
        self.sent = 0;
    }
}

/// What a line carries at least: a slower one is taken for dead.
const BYTES_A_MILLISECOND: u64 = 256;

/// The frames of one direction: a type, the length of what follows with itself, and what follows.
struct Frames {
    kind: u8,
    length: u32,
    /// Bytes of the head that are missing.
    head: u8,
    /// Bytes of the body that are missing.
    body: usize,
}

impl Frames {
    const HEAD: u8 = 5;
    /// The first frame of a client has no type; it is given this one.
    const STARTUP: u8 = 0;

    fn of_server() -> Self {
        Self {
            kind: Self::STARTUP,
            length: 0,
            head: Self::HEAD,
            body: 0,
        }
    }

    fn of_client() -> Self {
        Self {
            head: Self::HEAD - 1,
            ..Self::of_server()
        }
    }

    /// Reads on; says of each frame that begins which type it has.
    fn read(&mut self, mut bytes: &[u8], mut begins: impl FnMut(u8)) {
        while let [byte, rest @ ..] = bytes {
            if self.body > 0 {
                let passed = self.body.min(bytes.len());
                self.body -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            if self.head == Self::HEAD {
                self.kind = *byte;
                self.length = 0;
            } else {
                self.length = self.length << 8 | u32::from(*byte);
            }
            self.head -= 1;
            if self.head == 0 {
                self.head = Self::HEAD;
                self.body = usize::try_from(self.length)
                    .unwrap_or(usize::MAX)
                    .saturating_sub(4);
                begins(self.kind);
            }
            bytes = rest;
        }
    }
}

/// A connection of which a [`Line`] takes note.
pub(super) struct Watched<S> {
    stream: S,
    line: Arc<Line>,
    sent: Frames,
    received: Frames,
}

impl<S> Watched<S> {
    /// Around a stream on which nothing has been sent. What an earlier attempt still owed is forgotten.
    pub(super) fn new(stream: S, line: Arc<Line>) -> Self {
        *line.state() = State::default();
        Self {
            stream,
            line,
            sent: Frames::of_client(),
            received: Frames::of_server(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.line.reader.register(context.waker());
        if this.line.is_cut() {
            let why = "the server waits for a statement that was sent: the connection is half open";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, why)));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let mut state = this.line.state();
        if polled.is_pending() {
            state.waits += 1;
        }
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            state.receive();
            this.received.read(new, |kind| {
                // ReadyForQuery.
                if kind == b'Z' {
                    state.owed = state.owed.saturating_sub(1);
                }
            });
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            let written = bytes.get(..*written).unwrap_or_default();
            let mut state = this.line.state();
            state.sent += u64::try_from(written.len()).unwrap_or(u64::MAX);
            this.sent.read(written, |kind| {
                // Each of them is answered by one ReadyForQuery: the start, Query, and Sync.
                if matches!(kind, Frames::STARTUP | b'Q' | b'S') {
                    state.ask();
                }
            });
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl<S, E> TlsStream for Watched<Either<S, E>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: TlsStream + Unpin,
{
    fn channel_binding(&self) -> ChannelBinding {
        match &self.stream {
            Either::Left(_plain) => ChannelBinding::none(),
            Either::Right(encrypted) => encrypted.channel_binding(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn startup() -> Vec<u8> {
        frame(0, b"user\0me\0\0")[1..].to_vec()
    }

    fn watched() -> (Arc<Line>, Watched<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1 << 16);
        let line = Arc::new(Line::default());
        (Arc::clone(&line), Watched::new(near, line), far)
    }

    #[tokio::test]
    async fn an_answer_is_owed_from_a_question_to_its_end_however_the_bytes_are_cut() {
        for piece in [1, 3, 1000] {
            let (line, mut near, mut far) = watched();
            assert_eq!(line.quiet(), None);
            let mut buffer = vec![0; piece];
            let mut send = async |bytes: Vec<u8>| {
                for part in bytes.chunks(piece) {
                    near.write_all(part).await.unwrap();
                }
            };
            send(startup()).await;
            assert!(line.quiet().is_some(), "the start");
            // A body that has the types of questions in it, and one without a question.
            let statements = [frame(b'B', b"QSQS"), frame(b'E', b""), frame(b'S', b"")];
            send(statements.concat()).await;
            let answers = [
                frame(b'R', b"ZZZZZ"),
                frame(b'Z', b"I"),
                frame(b'D', &[b'Z'; 70]),
            ];
            for (bytes, owes) in [(answers.concat(), true), (frame(b'Z', b"T"), false)] {
                far.write_all(&bytes).await.unwrap();
                let mut left = bytes.len();
                while left > 0 {
                    left -= near.read(&mut buffer).await.unwrap();
                }
                assert_eq!(line.quiet().is_some(), owes, "by pieces of {piece}");
            }
        }
    }

    #[tokio::test]
    async fn a_cut_ends_who_waits_and_who_comes() {
        let (line, mut near, _far) = watched();
        near.write_all(&startup()).await.unwrap();
        let waiting = tokio::spawn(async move {
            let first = near.read(&mut [0; 8]).await;
            (first, near.read(&mut [0; 8]).await)
        });
        tokio::task::yield_now().await;
        line.cut();
        assert_eq!(line.quiet(), None, "it is cut once");
        let (first, second) = waiting.await.unwrap();
        assert_eq!(first.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn only_what_brings_the_answer_nearer_is_a_move() {
        let (line, mut near, mut far) = watched();
        near.write_all(&startup()).await.unwrap();
        let asked = line.nudge();
        tokio::time::sleep(Duration::from_millis(3)).await;
        near.write_all(&frame(b'Q', b"SELECT 1\0")).await.unwrap();
        assert!(!line.stands_still_since(asked), "nobody has looked");
        let mut buffer = [0; 8];
        let reading = tokio::time::timeout(Duration::from_millis(1), near.read(&mut buffer));
        reading.await.unwrap_err();
        assert!(line.stands_still_since(asked), "another question");
        far.write_all(b"N").await.unwrap();
        assert_eq!(near.read(&mut buffer).await.unwrap(), 1);
        assert!(!line.stands_still_since(asked), "a byte");
    }

    #[tokio::test]
    async fn a_new_attempt_owes_nothing() {
        let (line, mut near, _far) = watched();
        near.write_all(&startup()).await.unwrap();
        drop(near);
        let (near, _other) = duplex(1 << 16);
        let _near = Watched::new(near, Arc::clone(&line));
        assert_eq!(line.quiet(), None);
    }

    #[tokio::test]
    async fn much_may_take_longer_than_little() {
        let (near, _far) = duplex(1 << 20);
        let line = Arc::new(Line::default());
        let mut near = Watched::new(near, Arc::clone(&line));
        let much = [startup(), frame(b'B', &[0; 500_000]), frame(b'S', b"")].concat();
        near.write_all(&much).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(line.quiet(), Some(Duration::ZERO), "it is on its way");
    }
}
