//! Listening sockets and the descriptors they need.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait in the kernel; it takes the smaller of this and `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// Listens on `HOST:PORT` or `:PORT` (all addresses, IPv6 too where there is any). Port 0 picks one; ask the listener
/// for its address.
///
/// # Errors
/// The address can not be read, resolved or bound; the text names it.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("can not listen on {address}: {error}"));
    if let Some(port) = address.strip_prefix(':') {
        let port: u16 = port.parse().map_err(|_| named(io::Error::new(io::ErrorKind::InvalidInput, "not a port")))?;
        // On a machine without IPv6 the first one fails.
        return listen(([0_u16; 8], port).into()).or_else(|_| listen(([0_u8; 4], port).into())).map_err(named);
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for candidate in tokio::net::lookup_host(address).await.map_err(named)? {
        match listen(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(named(last))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the old process' connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Raises the limit of open files to what the system allows, and returns it; `None` for unlimited. With the usual soft
/// limit of 1,024, 2,000 groups at once leave half of them hanging (measured).
///
/// # Errors
/// The system refuses.
pub fn raise_nofile() -> io::Result<Option<u64>> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum)
}
