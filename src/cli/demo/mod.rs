//! `demo`: robots, a server and sample alerts in one process, for a newcomer to look at.

mod life;
mod setup;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::life::Times;
use super::args::Demo;
use super::playground::Playground;
use super::sandbox::reachable;
use super::{Failure, plural, runtime, say, stopped};
use crate::app::{App, Options};
use crate::clock::{Clock, SystemClock};
use crate::sandbox::{self, Sandbox};
use crate::{http, telemetry};

/// How often the queue is looked at after the last sample.
const LOOK: Duration = Duration::from_secs(1);
/// How often the person who watches is told of it, in looks.
const TELL_EVERY: u32 = 6;

pub(super) fn run(flags: &Demo) -> Result<(), Failure> {
    telemetry::init("warn", telemetry::Format::Logfmt).map_err(Failure::usage)?;
    let folder = tempfile::Builder::new().prefix("alarmbell-demo-").tempdir();
    let folder = folder.map_err(|error| Failure::runtime(format!("a temporary folder: {error}")))?;
    let chats = Sandbox::new(SystemClock::new(), false);
    chats.offer_playground(Playground::new(SystemClock::new()));
    let shown = runtime()?.block_on(Box::pin(show(flags, folder.path(), chats)));
    let removed = folder.close().map_err(|error| Failure::runtime(format!("the temporary folder: {error}")));
    shown.and(removed)?;
    say("\nStopped; no files are left.\n")
}

async fn show(flags: &Demo, folder: &Path, chats: Sandbox) -> Result<(), Failure> {
    // Listened to from the begin: whatever comes now must not leave the folder behind.
    let mut stop = std::pin::pin!(stopped());
    let robots = http::bind("127.0.0.1:0").await.map_err(Failure::runtime)?;
    let robots_at = robots.local_addr().map_err(Failure::runtime)?;
    setup::chats(&chats, flags.speed).map_err(Failure::runtime)?;
    let config_file = folder.join("alarmbell.yml");
    std::fs::write(&config_file, setup::config(robots_at, flags.speed)).map_err(Failure::runtime)?;

    let stop_robots = CancellationToken::new();
    let serving = tokio::spawn(sandbox::serve(robots, chats, stop_robots.clone().cancelled_owned()));
    let listen = address(&flags.listen).await?;
    let options = Options {
        config_file,
        reload_interval: Duration::ZERO,
        storage_path: folder.join("data"),
        storage_url: None,
        retention: Duration::from_secs(86_400),
        external_url: url::Url::parse(&format!("http://{}", reachable(listen))).ok(),
        listen: listen.to_string(),
        web_config_file: None,
        route_prefix: String::new(),
        lifecycle: false,
        admin: false,
    };
    let ended = match App::start(options).await {
        Ok(app) => {
            let guide = Guide { server: reachable(app.address()), robots: robots_at, speed: flags.speed };
            let ended = tokio::select! {
                ended = guide.tell(flags.exit_after_samples) => ended,
                () = &mut stop => Ok(()),
            };
            app.stop().await;
            ended
        }
        Err(error) => Err(error.into()),
    };
    stop_robots.cancel();
    // Its result is the same whatever came before.
    let _ = serving.await;
    ended
}

/// The links in messages need the port before the server has it: finds a free one for port 0.
async fn address(listen: &str) -> Result<SocketAddr, Failure> {
    let busy = |error| Failure::runtime(format!("{error}; for another one: --web.listen-address=127.0.0.1:0"));
    http::bind(listen).await.and_then(|listener| listener.local_addr()).map_err(busy)
}

/// Sends the samples, and says what is to be seen.
struct Guide {
    server: SocketAddr,
    robots: SocketAddr,
    speed: u32,
}

impl Guide {
    async fn tell(&self, end: bool) -> Result<(), Failure> {
        say(&self.welcome())?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        let client = client.map_err(|error| Failure::runtime(error.without_url()))?;
        let clock = SystemClock::new();
        let mut times = Times::default();
        for webhook in life::story() {
            self.pause(&*clock, webhook.after).await;
            if !webhook.what.is_empty() {
                say(&line(&*clock, &webhook.what))?;
            }
            let body = webhook.body(&mut times, clock.now(), "http://alertmanager.example.com:9093");
            self.post(&client, body.to_string()).await?;
        }
        self.drain(&client, &*clock).await?;
        say(&self.farewell())?;
        if end { Ok(()) } else { std::future::pending().await }
    }

    async fn pause(&self, clock: &dyn Clock, time: Duration) {
        clock.sleep_until(clock.mono() + time / self.speed).await;
    }

    async fn post(&self, client: &reqwest::Client, body: String) -> Result<(), Failure> {
        let url = format!("http://{}/api/v1/webhook", self.server);
        let request = client.post(url).header(::http::header::CONTENT_TYPE, "application/json").body(body);
        let answer = request.send().await.map_err(|error| Failure::runtime(error.without_url()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(Failure::runtime(format!("the server refused a sample: {}", answer.status())))
    }

    /// Waits until everything has been told.
    async fn drain(&self, client: &reqwest::Client, clock: &dyn Clock) -> Result<(), Failure> {
        let mut looks = 0_u32;
        loop {
            let waiting = self.waiting(client).await?;
            if waiting == 0 {
                return Ok(());
            }
            if looks.is_multiple_of(TELL_EVERY) {
                let what = plural(usize::try_from(waiting).unwrap_or(usize::MAX), "alert");
                say(&line(clock, &format!("in the queue: {what} until the robot may be sent to again")))?;
            }
            looks = looks.wrapping_add(1);
            self.pause(clock, LOOK).await;
        }
    }

    /// Alert states that wait, as the server's own metrics say.
    async fn waiting(&self, client: &reqwest::Client) -> Result<u64, Failure> {
        let failed = |error: reqwest::Error| Failure::runtime(error.without_url());
        let answer = client.get(format!("http://{}/metrics", self.server)).send().await.map_err(failed)?;
        Ok(queued(&answer.text().await.map_err(failed)?))
    }

    fn welcome(&self) -> String {
        let Self { server, robots, .. } = self;
        format!(
            "alarmbell demo: everything runs in this process, and nothing leaves this machine.

  open http://{robots}/             the three chats, as people see them
       http://{robots}/playground   messages and templates to try, drawn as you type

  the server itself:
       http://{server}/metrics
       http://{server}/api/v1/bots        what waits for each chat
       http://{server}/api/v1/messages    what was told

What happens now, for about a minute and a half:

"
        )
    }

    fn farewell(&self) -> String {
        let Self { server, robots, .. } = self;
        format!(
            "
Everything has been told. Try it with your own Alertmanager next; put this into its config:

  route:
    receiver: alarmbell
    group_by: [alertname, cluster]
    group_wait: 10s
    group_interval: 1m
  receivers:
    - name: alarmbell
      webhook_configs:
        - url: http://{server}/api/v1/webhook

The chats stay open at http://{robots}/ until Ctrl-C, which removes all files.
"
        )
    }
}

/// A line of the story with the time since the begin.
fn line(clock: &dyn Clock, what: &str) -> String {
    let at = clock.mono().as_secs();
    format!("  {:>2}:{:02}  {what}\n", at / 60, at % 60)
}

/// The sum of `alarmbell_queue_alerts` over all bots.
fn queued(metrics: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with("alarmbell_queue_alerts{"));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_queue() {
        let text = "# TYPE alarmbell_queue_alerts gauge\nalarmbell_queue_alerts{bot=\"a\"} 3\n\
                    alarmbell_queue_alerts{bot=\"b c\"} 4\nalarmbell_queue_groups{bot=\"a\"} 9\n";
        assert_eq!(queued(text), 7);
        assert_eq!(queued(""), 0);
    }

    #[test]
    fn shows_the_addresses() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let guide = Guide { server: address(8060), robots: address(4711), speed: 1 };
        assert!(guide.welcome().contains("open http://127.0.0.1:4711/ "));
        assert!(guide.farewell().contains("- url: http://127.0.0.1:8060/api/v1/webhook\n"));
    }

    /// The whole demo, sped up: every chat is told, and no robot refuses anything.
    #[tokio::test(flavor = "multi_thread")]
    async fn tells_every_chat() {
        // Fails only when another test was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let chats = Sandbox::new(SystemClock::new(), false);
        let flags = Demo { listen: "127.0.0.1:0".to_owned(), exit_after_samples: true, speed: 200 };
        Box::pin(show(&flags, folder.path(), chats.clone())).await.unwrap();
        let robots = chats.robots();
        assert_eq!(robots.len(), 3);
        for robot in robots {
            assert!(robot.accepted >= 2 && robot.refused == 0, "{robot:?}");
            let messages = chats.messages(robot.vendor, &robot.token, 0, 1000).unwrap();
            assert!(messages.iter().any(|message| !message.mentions.names.is_empty()), "{}", robot.rules.name);
            let last = messages.last().map(|message| format!("{}{}", message.title, message.text));
            assert!(last.is_some_and(|text| text.contains("恢复")), "{}", robot.rules.name);
        }
    }
}
