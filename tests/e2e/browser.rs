//! Chromium without a window.

use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

/// A picture of a page; kept below the target folder, for people.
pub struct Picture {
    pub bytes: usize,
    pub width: u32,
}

/// Runs the browser with these arguments on one page.
async fn run(chromium: &str, arguments: &[String], url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(chromium);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--no-proxy-server",
        "--force-device-scale-factor=1",
    ]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).args(arguments).arg(url).kill_on_drop(true);
    let ran = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let ran = ran.unwrap_or_else(|_| panic!("{chromium} does not end on {url}")).unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{chromium} on {url}: {errors}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// What a person can read on the page: the drawn document without its tags and without what is folded away.
pub async fn text_of(chromium: &str, url: &str) -> String {
    let mut dom = run(chromium, &["--dump-dom".to_owned()], url).await;
    while let Some((start, len)) =
        dom.find("<details").and_then(|start| Some((start, dom[start..].find("</details>")?)))
    {
        dom.replace_range(start..start + len + "</details>".len(), "");
    }
    let mut text = String::new();
    let mut rest = dom.as_str();
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Takes a picture of the top of the page.
pub async fn screenshot(chromium: &str, url: &str, name: &str, width: u32, height: u32) -> Picture {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.png"));
    let _ = std::fs::remove_file(&file);
    run(chromium, &[format!("--screenshot={}", file.display()), format!("--window-size={width},{height}")], url).await;
    let png = std::fs::read(&file).unwrap_or_else(|error| panic!("no picture in {}: {error}", file.display()));
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "{} is no picture", file.display());
    Picture { bytes: png.len(), width: u32::from_be_bytes(png[16..20].try_into().unwrap()) }
}
