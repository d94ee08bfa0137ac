//! A TCP proxy between alarmbell and its database, which can be in the way in all the ways that a network can.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to connections and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// They pass.
    Pass,
    /// Each chunk passes this much later.
    Delay(Duration),
    /// New connections are ended at once, and so are the present ones.
    Refuse,
    /// Connections are accepted and nothing passes.
    Freeze,
}

/// On which side of a statement its connection is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// The server never hears of it.
    Before,
    /// The server did it, and its answer is lost.
    After,
}

type Matches = Box<dyn Fn(&str) -> bool + Send>;

struct Shared {
    to: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Raised to end all connections that are older.
    cuts: watch::Sender<u64>,
    /// Raised to let nothing more pass through all connections that are older.
    stalls: watch::Sender<u64>,
    trap: Mutex<Option<(Cut, Matches)>>,
    trapped: AtomicUsize,
    connections: AtomicUsize,
}

/// The proxy; it ends with its handle.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, towards a port there.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            to: SocketAddr::from(([127, 0, 0, 1], to)),
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
            stalls: watch::Sender::new(0),
            trap: Mutex::new(None),
            trapped: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Self { shared, port, task }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
        if mode == Mode::Refuse {
            self.cut();
        }
    }

    /// Ends all present connections.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets nothing more pass through present connections, and ends none of them, as a gateway that forgot them does.
    pub(crate) fn stall(&self) {
        self.shared.stalls.send_modify(|stalls| *stalls += 1);
    }

    /// Cuts the connection of the next statement that matches. `COMMIT` of an explicit transaction is such a statement.
    pub(crate) fn trap(&self, cut: Cut, matches: impl Fn(&str) -> bool + Send + 'static) {
        *self.shared.trap.lock().unwrap() = Some((cut, Box::new(matches)));
    }

    /// How many statements were trapped so far.
    pub(crate) fn trapped(&self) -> usize {
        self.shared.trapped.load(Ordering::SeqCst)
    }

    /// Connections that pass through now.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if *shared.mode.borrow() != Mode::Refuse {
            let ends = (shared.cuts.subscribe(), shared.stalls.subscribe());
            tokio::spawn(connection(client, shared.clone(), ends));
        }
    }
}

async fn connection(
    client: TcpStream,
    shared: Arc<Shared>,
    (mut cuts, mut stalls): (watch::Receiver<u64>, watch::Receiver<u64>),
) {
    let mode = shared.mode.subscribe();
    let open = async {
        let mut mode = mode;
        let _ = mode.wait_for(|mode| *mode != Mode::Freeze).await;
        TcpStream::connect(shared.to).await
    };
    let server = tokio::select! {
        server = open => server,
        _ = cuts.changed() => return,
    };
    let Ok(server) = server else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // The server's next "ready for query" is the end.
    let doomed = AtomicBool::new(false);
    let mut forth = pin!(forth(from_client, to_server, &shared, &doomed));
    let mut back = pin!(back(from_server, to_client, &shared, &doomed));
    let stalled = tokio::select! {
        () = &mut forth => false,
        () = &mut back => false,
        _ = cuts.changed() => false,
        _ = stalls.changed() => true,
    };
    if stalled {
        // Both ends stay open.
        let _ = cuts.changed().await;
    }
    shared.connections.fetch_sub(1, Ordering::SeqCst);
}

/// Holds a chunk back as long as the mode says.
async fn pass(shared: &Shared) {
    let mut mode = shared.mode.subscribe();
    let delay = match mode.wait_for(|mode| *mode != Mode::Freeze).await.as_deref() {
        Ok(Mode::Delay(delay)) => *delay,
        _ => return,
    };
    tokio::time::sleep(delay).await;
}

/// Client to server.
async fn forth(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, doomed: &AtomicBool) {
    // The first message has no type.
    let mut messages = Messages { buffer: Vec::new(), typed: false };
    let mut chunk = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        pass(shared).await;
        messages.buffer.extend_from_slice(&chunk[..length]);
        while let Some((kind, body)) = messages.next() {
            let Some(sql) = statement(kind, &body) else { continue };
            let mut trap = shared.trap.lock().unwrap();
            let Some((cut, _)) = trap.as_ref().filter(|(_, matches)| matches(sql)) else { continue };
            let cut = *cut;
            *trap = None;
            if cut == Cut::After {
                doomed.store(true, Ordering::SeqCst);
            }
            shared.trapped.fetch_add(1, Ordering::SeqCst);
            if cut == Cut::Before {
                return;
            }
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}

/// Server to client.
async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, doomed: &AtomicBool) {
    let mut messages = Messages { buffer: Vec::new(), typed: true };
    let mut chunk = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        pass(shared).await;
        messages.buffer.extend_from_slice(&chunk[..length]);
        let mut ready = false;
        while let Some((kind, _)) = messages.next() {
            ready |= kind == b'Z';
        }
        if doomed.load(Ordering::SeqCst) {
            if ready {
                return;
            }
        } else if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}

/// The SQL of a simple query or of a statement to be parsed.
fn statement(kind: u8, body: &[u8]) -> Option<&str> {
    let mut texts = body.split(|byte| *byte == 0);
    let sql = match kind {
        b'Q' => texts.next(),
        b'P' => texts.nth(1),
        _ => None,
    };
    std::str::from_utf8(sql?).ok()
}

/// Cuts a stream into the protocol's messages.
struct Messages {
    buffer: Vec<u8>,
    typed: bool,
}

impl Messages {
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let at = usize::from(self.typed);
        let length = self.buffer.get(at..at + 4)?;
        let end = at + u32::from_be_bytes(length.try_into().ok()?) as usize;
        if self.buffer.len() < end || end < at + 4 {
            return None;
        }
        let kind = if self.typed { self.buffer[0] } else { 0 };
        self.typed = true;
        let message: Vec<u8> = self.buffer.drain(..end).collect();
        Some((kind, message[at + 4..].to_vec()))
    }
}
