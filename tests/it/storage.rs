//! Where the store is: a folder or a database, and the way from one to the other.

use alarmbell::model::BotKind;
use rustix::process::Signal;

use crate::support::{Place, Robots, config, hook};

#[path = "../support/postgres.rs"]
mod database;

/// A place with one bot that works, whose server told one message and ended.
async fn told(robots: &Robots) -> Place {
    let bot = robots.bot(BotKind::WeCom, "wc");
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    let mut server = place.serve().await;
    server.take_at("/api/v1/webhook", hook::payload("group3_firing")).await;
    robots.wait_shown(&bot, 1).await;
    server.wait_empty().await;
    server.program.signal(Signal::TERM);
    server.program.wait().await;
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_store_is_served_from() {
    let robots = Robots::start().await;
    let place = told(&robots).await;
    let ran = place.run(&["storage", "copy", "--from=data", "--to=other"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in
        ["from      SQLite in data", "checked", "waiting   0 alert states", "--storage.path=other", "never serve"]
    {
        assert!(ran.stdout.contains(part), "no {part:?} in:\n{}", ran.stdout);
    }
    // No terminal: lines, and none that is drawn over.
    assert!(ran.stderr.contains("copying   ") && !ran.stderr.contains('\r'), "{}", ran.stderr);

    let again = place.run(&["storage", "copy", "--from=data", "--to=other"]).await;
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("holds a store already"), "{}", again.stderr);

    let other = format!("--storage.path={}", place.path().join("other").display());
    let server = place.serve_with(&["--web.enable-admin-api"]).await;
    for flags in [["--from=data", "--to=third"], ["--from=other", "--to=data"]] {
        let used = place.run(&[&["storage", "copy"], &flags[..]].concat()).await;
        assert_eq!(used.code, 1, "{flags:?}");
        assert!(used.stderr.contains("another alarmbell serves from data"), "{}", used.stderr);
    }
    let before = server.get("/api/v1/messages").await.json();
    drop(server);
    let mut copy = crate::support::program::Program::start(crate::support::server::ALARMBELL, |command| {
        command.args(["serve", "--web.listen-address=127.0.0.1:0", &other]);
        command.arg(format!("--config.file={}", place.config().display()));
    });
    let line = copy.wait_line("msg=listening").await;
    let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let url = format!("http://{address}/api/v1/messages");
    let after: serde_json::Value =
        serde_json::from_str(&crate::support::web::CLIENT.get(url).send().await.unwrap().text().await.unwrap())
            .unwrap();
    assert_eq!(after["data"], before["data"]);
    assert_ne!(before["data"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_to_postgresql_and_back() {
    let Some(server) = database::shared() else { return };
    let there = server.database().await;
    server.with_password(&there, "MARKpassword").await;
    let robots = Robots::start().await;
    let place = told(&robots).await;
    let authority = database::Server::authority();
    let parameters = format!("sslmode=verify-ca&sslrootcert={}", authority.display());
    place.write("db.url", &format!("{}\n", there.url_of_scram("MARKpassword", &parameters)));
    let went = place.run(&["storage", "copy", "--from=data", "--to-url-file=db.url"]).await;
    assert_eq!(went.code, 0, "{}", went.stderr);
    assert!(
        went.stdout.contains("to        PostgreSQL") && went.stdout.contains("--storage.url-file"),
        "{}",
        went.stdout
    );
    let url = format!("--from={}", there.url_of_scram("MARKpassword", &parameters));
    let back = place.run(&["storage", "copy", &url, "--to=back"]).await;
    assert_eq!(back.code, 0, "{}", back.stderr);
    assert_eq!(back.stderr.matches("password stands in the command line").count(), 1, "{}", back.stderr);
    let rows = |stdout: &str| stdout.lines().find(|line| line.starts_with("copied")).map(str::to_owned).unwrap();
    assert_eq!(rows(&went.stdout), rows(&back.stdout));
    for said in [went.stdout, went.stderr, back.stdout, back.stderr] {
        assert!(!said.contains("MARK"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_a_secret() {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::WeCom, "wc");
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    // Nobody listens there.
    let url = "postgres://bell:MARK@127.0.0.1:1/alarmbell";
    let file = place.write("db.url", url);
    let by_file = format!("--storage.url-file={}", file.display());
    let by_line = format!("--storage.url={url}");
    for (flag, warned) in [(&by_line, 1), (&by_file, 0)] {
        let mut serve = place.program(&[flag]);
        assert_eq!(serve.wait().await.code(), Some(1));
        let send = place.run(&["send", "--bot=wc", flag]).await;
        assert_eq!(send.code, 1, "{}", send.stderr);
        for said in [serve.output(), send.stdout + &send.stderr] {
            assert_eq!(said.matches("password stands in the command line").count(), warned, "{said}");
            assert!(said.contains("unavailable") && !said.contains("MARK"), "{said}");
        }
    }
    for (flags, why) in [
        (vec!["--storage.url=mysql://MARK"], "no URL of a PostgreSQL database"),
        (vec!["--storage.url-file=missing"], "missing: No such file"),
        (vec!["--storage.password-file=missing"], "only with --storage.url"),
        (vec![&*by_line, &*by_file], "cannot be used with"),
    ] {
        let mut serve = place.program(&flags);
        assert_eq!(serve.wait().await.code(), Some(2), "{flags:?}");
        assert!(serve.output().contains(why) && !serve.output().contains("MARK"), "{}", serve.output());
        let send = place.run(&[&["send", "--bot=wc"], &flags[..]].concat()).await;
        assert_eq!(send.code, 2, "{flags:?}");
        assert!(send.stderr.contains(why) && !send.stderr.contains("MARK"), "{}", send.stderr);
    }
    for (flags, why) in [
        (["--from=mysql://MARK", "--to=x"], "no URL of a PostgreSQL database"),
        (["--from=data", "--to="], "--to is the folder of a store"),
        (["--from=data", "--to-url-file=missing"], "missing: No such file"),
    ] {
        let ran = place.run(&[&["storage", "copy"], &flags[..]].concat()).await;
        assert_eq!(ran.code, 2, "{flags:?}");
        assert!(ran.stderr.contains(why) && !ran.stderr.contains("MARK"), "{}", ran.stderr);
    }
    let none = place.run(&["storage", "copy", "--from=data", "--to=x"]).await;
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("there is no store in data"), "{}", none.stderr);
}
