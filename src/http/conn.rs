//! One connection: what it is doing, since when, and what that means for its life.
//!
//! hyper's own `header_read_timeout` also closes idle keep-alive connections, and clients such as Alertmanager keep
//! those for minutes. So hyper's is off, and the phases here tell a slow head from an idle connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::listener::ListenerConfig;

/// Bytes read and thrown away at the end of a connection, at most.
const LINGER_BYTES: u64 = 256 << 20;
/// The longest time for that.
const LINGER: Duration = Duration::from_secs(10);

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// New; nothing has come yet.
    Fresh,
    /// Between two requests.
    Idle,
    /// Part of a head has come.
    Head,
    /// A request is being read, handled or answered.
    Busy,
    /// Closing: what the peer still sends is thrown away, so that it can read the answer before a reset.
    Lingering,
}

/// A connection's state; shared by its task, its IO, its requests, and whoever looks for idle connections.
#[derive(Debug)]
pub(super) struct Conn {
    /// Milliseconds since `base` and the phase in the low three bits: one word, so that both always fit each other.
    phase: AtomicU64,
    /// Since when the peer takes no bytes, in milliseconds since `base` plus one; 0 while it does.
    blocked: AtomicU64,
    /// A request's body was not read to its end.
    unread: AtomicBool,
    /// Somebody needs the room.
    pub(super) evicted: Notify,
    base: Instant,
}

impl Conn {
    pub(super) fn new(base: Instant) -> Arc<Self> {
        let conn = Self {
            phase: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            evicted: Notify::new(),
            base,
        };
        conn.enter(Phase::Fresh);
        Arc::new(conn)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX >> 3)
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(self.now() << 3 | phase as u64, Ordering::Relaxed);
    }

    fn load(&self) -> (Phase, u64) {
        let word = self.phase.load(Ordering::Relaxed);
        let phase = match word & 7 {
            0 => Phase::Fresh,
            1 => Phase::Idle,
            2 => Phase::Head,
            3 => Phase::Busy,
            _ => Phase::Lingering,
        };
        (phase, word >> 3)
    }

    pub(super) fn phase(&self) -> Phase {
        self.load().0
    }

    /// Since when it is idle, with nothing left to be written; `None` when it is not.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let (phase, since) = self.load();
        (phase == Phase::Idle && self.blocked.load(Ordering::Relaxed) == 0).then_some(since)
    }

    /// Whether an answer is handed over but the peer does not take it: hyper must not be told to close now, it would
    /// cut the answer off.
    pub(super) fn is_flushing(&self) -> bool {
        self.phase() == Phase::Idle && self.blocked.load(Ordering::Relaxed) != 0
    }

    /// When the present phase has lasted too long.
    pub(super) fn deadline(&self, config: &ListenerConfig) -> Option<Instant> {
        let (phase, since) = self.load();
        let most = match phase {
            Phase::Fresh | Phase::Head => Some(config.header_timeout),
            Phase::Idle => Some(config.idle_timeout),
            Phase::Busy => None,
            Phase::Lingering => Some(LINGER),
        };
        let at = |since: u64, most: Duration| self.base + Duration::from_millis(since) + most;
        let phase = most.map(|most| at(since, most));
        let blocked = match self.blocked.load(Ordering::Relaxed) {
            0 => None,
            since => Some(at(since - 1, config.write_timeout)),
        };
        [phase, blocked].into_iter().flatten().min()
    }

    fn received(&self) {
        match self.load() {
            (Phase::Idle, _) => self.enter(Phase::Head),
            // The time for the first head runs from the connection's begin.
            (Phase::Fresh, since) => self.phase.store(since << 3 | Phase::Head as u64, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Whether the peer may still be sending what nobody will read.
    fn is_cut_short(&self) -> bool {
        self.phase() == Phase::Head || self.unread.load(Ordering::Relaxed)
    }

    fn wrote(&self, ready: bool) {
        if ready {
            self.blocked.store(0, Ordering::Relaxed);
        } else if self.blocked.load(Ordering::Relaxed) == 0 {
            self.blocked.store(self.now() + 1, Ordering::Relaxed);
        }
    }
}

/// A connection's bytes, watched.
pub(super) struct Watched<T> {
    io: T,
    conn: Arc<Conn>,
    /// Bytes still to be thrown away; `None` before the end.
    lingering: Option<u64>,
}

impl<T> Watched<T> {
    pub(super) fn new(io: T, conn: Arc<Conn>) -> Self {
        Self { io, conn, lingering: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.conn.received();
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(cx, buf);
        self.conn.wrote(wrote.is_ready());
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.conn.wrote(wrote.is_ready());
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Closes our side. When the peer may still be sending (a refused body, a broken head), closing the socket now would
    /// reset the connection and throw our answer away before it is read; so first read on to the peer's end.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            std::task::ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if !this.conn.is_cut_short() {
                return Poll::Ready(Ok(()));
            }
            this.conn.enter(Phase::Lingering);
        }
        let left = this.lingering.get_or_insert(LINGER_BYTES);
        let mut waste = [0_u8; 8192];
        while *left > 0 {
            let mut buf = ReadBuf::new(&mut waste);
            std::task::ready!(Pin::new(&mut this.io).poll_read(cx, &mut buf))?;
            match buf.filled().len() as u64 {
                0 => break,
                read => *left = left.saturating_sub(read),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A request's body that notes when it was not read to its end.
pub(super) struct Arriving {
    body: Incoming,
    ended: bool,
    conn: Arc<Conn>,
}

impl Arriving {
    pub(super) fn new(body: Incoming, conn: Arc<Conn>) -> Self {
        conn.unread.store(false, Ordering::Relaxed);
        Self { body, ended: false, conn }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.conn.unread.store(true, Ordering::Relaxed);
        }
    }
}

/// An answer's body: when hyper has taken all of it, the connection is idle.
pub(super) struct Leaving {
    body: axum::body::Body,
    conn: Arc<Conn>,
}

impl Leaving {
    pub(super) fn new(body: axum::body::Body, conn: Arc<Conn>) -> Self {
        Self { body, conn }
    }
}

impl Body for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.conn.enter(Phase::Idle);
    }
}
