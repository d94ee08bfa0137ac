//! One tab of a Chromium without a window, spoken to over a pipe in its DevTools protocol: pages are used as a person
//! would use them, and many pictures need one browser.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The longest that the browser may take for one thing.
const PATIENCE: Duration = Duration::from_secs(60);
/// The protocol is spoken on descriptors 3 and 4, which a shell makes of its own.
const PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>&2";

/// See the module's text.
pub struct Tab {
    _browser: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    sent: u64,
    _profile: tempfile::TempDir,
}

impl Tab {
    /// Starts a browser with one empty tab.
    pub async fn start(chromium: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", PIPES, chromium, "--remote-debugging-pipe", "--headless", "--no-sandbox", "--disable-gpu"]);
        command.args([
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
        ]);
        command.args(["--disable-component-update", "--disable-sync", "--hide-scrollbars", "--no-proxy-server"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut browser = command.spawn().unwrap();
        let (to, from) = (browser.stdin.take().unwrap(), BufReader::new(browser.stdout.take().unwrap()));
        let mut tab = Self { _browser: browser, to, from, session: None, sent: 0, _profile: profile };
        let target = tab.call("Target.createTarget", json!({"url": "about:blank"})).await["targetId"].clone();
        let attached = tab.call("Target.attachToTarget", json!({"targetId": target, "flatten": true})).await;
        tab.session = attached["sessionId"].as_str().map(str::to_owned);
        tab.call("Page.enable", json!({})).await;
        tab
    }

    /// The next message of the browser: an answer or an event.
    async fn next(&mut self) -> Value {
        let mut message = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.from.read_until(0, &mut message)).await;
        assert!(read.expect("the browser does not answer").unwrap() > 0, "the browser has ended");
        message.pop();
        serde_json::from_slice(&message).unwrap()
    }

    /// Asks for one thing and waits for its answer. Events on the way are dropped.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut request = json!({"id": self.sent, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{request}\0").as_bytes()).await.unwrap();
        loop {
            let mut answer = self.next().await;
            if answer["id"] == self.sent {
                assert!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
        }
    }

    /// Makes the screen so large, in the page's pixels, of which each is `scale` pixels of a picture.
    pub async fn size(&mut self, width: u32, height: u32, scale: f64) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Opens a page and waits until all of it is there.
    pub async fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({"url": url})).await;
        assert!(opened.get("errorText").is_none(), "{url}: {opened}");
        while self.next().await["method"] != "Page.loadEventFired" {}
    }

    /// What a script on the page comes to. Fails when it throws.
    pub async fn run(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", params).await;
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// Waits until a script on the page comes to something that is true.
    pub async fn wait(&mut self, script: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.run(&format!("Boolean({script})")).await.as_bool().unwrap() {
            assert!(tokio::time::Instant::now() < deadline, "waited too long: {script}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types where the cursor is.
    pub async fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses a key that has a name.
    pub async fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({"type": kind, "key": key, "code": key})).await;
        }
    }

    /// A picture of the screen, as PNG.
    pub async fn picture(&mut self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"})).await;
        base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
    }
}
