//! `sandbox`: the vendors' imitations alone.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::args::Sandbox as Flags;
use super::playground::Playground;
use super::{Failure, runtime, say, stopped};
use crate::clock::SystemClock;
use crate::http;
use crate::sandbox::{self, Sandbox};
use crate::telemetry;

pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    telemetry::init("warn", telemetry::Format::Logfmt).map_err(Failure::usage)?;
    runtime()?.block_on(async {
        let listener = http::bind(&flags.listen).await.map_err(Failure::runtime)?;
        let address = listener.local_addr().map_err(Failure::runtime)?;
        let sandbox = Sandbox::new(SystemClock::new(), true);
        sandbox.offer_playground(Playground::new(SystemClock::new()));
        say(&welcome(address))?;
        let served = sandbox::serve(listener, sandbox, stopped()).await;
        served.map_err(Failure::runtime)?;
        say("\nStopped.\n")
    })
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

  open {base}/             the chats
       {base}/playground   messages and templates to try, drawn as you type

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

    #[test]
    fn names_an_address_that_can_be_opened() {
        for all in ["0.0.0.0:8061", "[::]:8061", "127.0.0.1:8061", "[::1]:8061"] {
            let text = welcome(all.parse().unwrap());
            assert!(
                text.contains("open http://127.0.0.1:8061/ ") || text.contains("open http://[::1]:8061/ "),
                "{text}"
            );
        }
    }
}
