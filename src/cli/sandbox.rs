//! `sandbox`: the vendors' imitations alone.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

use super::args::Sandbox as Flags;
use super::{Failure, runtime, say, stopped};
use crate::clock::SystemClock;
use crate::sandbox::{self, Sandbox};
use crate::telemetry;

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    telemetry::init("warn", telemetry::Format::Logfmt).map_err(Failure::usage)?;
    runtime()?.block_on(async {
        let listener = listen(&flags.listen).await?;
        let address = listener.local_addr().map_err(Failure::runtime)?;
        let sandbox = Sandbox::new(SystemClock::new(), true);
        say(&welcome(address))?;
        let served = sandbox::serve(listener, sandbox, stopped()).await;
        served.map_err(Failure::runtime)?;
        say("\nStopped.\n")
    })
}

/// Listens on `HOST:PORT`, or on every address with `:PORT`.
pub(super) async fn listen(address: &str) -> Result<TcpListener, Failure> {
    let full = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    if !full.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Err(Failure::usage(format!("`{address}` is not an address to listen on; expected 127.0.0.1:8061")));
    }
    TcpListener::bind(&full).await.map_err(|error| Failure::runtime(format!("{address}: {error}")))
}

/// An address that a browser on this machine can open.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let ip = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(ip);
    }
    address
}

fn welcome(address: SocketAddr) -> String {
    let base = format!("http://{}", reachable(address));
    format!(
        "The sandbox imitates the robots of DingTalk, WeCom and Feishu. Nothing leaves this machine.

  open {base}/

A robot is there from its first call, with any token. Some URLs for your alarmbell.yml:

  dingtalk  {base}/robot/send?access_token=ops
  wecom     {base}/cgi-bin/webhook/send?key=ops
  feishu    {base}/open-apis/bot/v2/hook/ops

Keywords, secrets, limits and faults: {base}/api/sandbox/robots

Ctrl-C stops it.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses() {
        for wrong in ["", "8061", "localhost", "127.0.0.1:http", "127.0.0.1:99999"] {
            assert_eq!(listen(wrong).await.unwrap_err().code, 2, "{wrong}");
        }
        let first = listen("127.0.0.1:0").await.unwrap();
        let taken = listen(&first.local_addr().unwrap().to_string()).await.unwrap_err();
        assert_eq!(taken.code, 1);
        assert!(taken.text.contains("127.0.0.1:"), "{}", taken.text);
        let all = listen(":0").await.unwrap().local_addr().unwrap();
        assert!(all.ip().is_unspecified());
        assert!(welcome(all).contains(&format!("open http://127.0.0.1:{}/\n", all.port())));
    }
}
