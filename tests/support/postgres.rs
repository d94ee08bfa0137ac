//! Private PostgreSQL servers for tests: a folder of their own, a free port, gone with the process that started them.
//!
//! One file for several test programs: `#[path = "../support/postgres.rs"] mod postgres;`. No system cluster is touched.
//! As root the server runs as `postgres` or `nobody`, since it refuses to run as root.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio_postgres::NoTls;

/// The program, when it is not where Debian has it; `initdb` and `pg_ctl` are beside it.
const PROGRAM: &str = "POSTGRES_BIN";
/// With this set, a machine without PostgreSQL fails the tests that need it.
const REQUIRED: &str = "ALARMBELL_REQUIRE_POSTGRES";
/// The oldest version that alarmbell works with.
const OLDEST: u32 = 15;

/// How a server is set up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Whether a commit survives the machine: `fsync` and full pages, as in production. Without, it is faster and
    /// survives the server's own crash all the same.
    pub(crate) durable: bool,
    /// Further lines of postgresql.conf.
    pub(crate) lines: Vec<String>,
}

/// A running server.
#[derive(Clone)]
pub(crate) struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    /// Holds the data, the log and the socket.
    folder: PathBuf,
    programs: PathBuf,
    /// Whom it runs as, when that is not us.
    user: Option<(u32, u32)>,
    port: u16,
    databases: AtomicU32,
    /// Ends the server and removes the folder when its standard input ends: with us, however we end.
    keeper: Mutex<Child>,
}

/// The server that the tests of this program share, which is started by whoever asks first; `None`, said once, on a
/// machine without PostgreSQL.
///
/// # Panics
/// When there is none and `ALARMBELL_REQUIRE_POSTGRES` is set, or when it does not start.
pub(crate) fn shared() -> Option<Server> {
    static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let server = programs().and_then(|_| Server::start(&Settings::default()));
        if let Err(why) = &server
            && std::env::var_os(REQUIRED).is_none()
        {
            // Past the capture of tests that pass.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED tests that need PostgreSQL {OLDEST} or later: {why} (install it, or name it in {PROGRAM})"
            );
        }
        server
    });
    match shared {
        Ok(server) => Some(server.clone()),
        Err(why) if std::env::var_os(REQUIRED).is_some() || programs().is_ok() => panic!("no PostgreSQL: {why}"),
        Err(_) => None,
    }
}

/// The folder with the server's programs.
fn programs() -> Result<PathBuf, String> {
    if let Some(program) = std::env::var_os(PROGRAM) {
        let folder = Path::new(&program).parent().map(Path::to_owned).unwrap_or_default();
        return if folder.join("initdb").exists() {
            Ok(folder)
        } else {
            Err(format!("no initdb beside {}", Path::new(&program).display()))
        };
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| *version >= OLDEST)
        .map(|version| (version, PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))))
        .filter(|(_, folder)| folder.join("postgres").exists() && folder.join("initdb").exists())
        .max();
    newest.map(|(_, folder)| folder).ok_or_else(|| "not found in /usr/lib/postgresql".to_owned())
}

/// Whom the server runs as when we are root.
fn other_user() -> Result<Option<(u32, u32)>, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    match ids("postgres").or_else(|| ids("nobody")) {
        Some(user) => Ok(Some(user)),
        None => Err("it does not run as root, and there is no user postgres or nobody".to_owned()),
    }
}

/// Waits for the end of its input, then ends the server and removes the folder. What was being started at that moment
/// is met by the second round.
const KEEPER: &str = r#"
read -r _
for round in 1 2 3; do
  "$1/pg_ctl" stop -D "$2/data" -s -m immediate -w -t 20
  [ ! -e "$2/data/postmaster.pid" ] && [ "$round" -gt 1 ] && break
  sleep 0.1
done
rm -rf "$2"
"#;

const ACCESS: &str = "\
local   all all                  trust
hostssl all scram   127.0.0.1/32 scram-sha-256
host    all scram   127.0.0.1/32 reject
host    all all     127.0.0.1/32 trust
";

impl Server {
    /// Makes a server and starts it; it ends when the last handle is gone, or with the process.
    pub(crate) fn start(settings: &Settings) -> Result<Self, String> {
        let programs = programs()?;
        let user = other_user()?;
        let folder = tempfile::Builder::new().prefix("alarmbell-pg-").tempdir().map_err(|error| error.to_string())?;
        // Its keeper removes it, when it has one.
        let folder_path = folder.path().to_owned();
        if let Some((uid, gid)) = user {
            chown(&folder_path, Some(uid), Some(gid)).map_err(|error| error.to_string())?;
        }
        let inner = Inner {
            port: free_port(),
            databases: AtomicU32::new(0),
            keeper: Mutex::new(keeper(&programs, &folder_path, user)?),
            folder: folder.keep(),
            programs,
            user,
        };
        let server = Self { inner: Arc::new(inner) };
        server.initialise(settings)?;
        server.up()?;
        Ok(server)
    }

    fn initialise(&self, settings: &Settings) -> Result<(), String> {
        let data = self.data();
        let mut initdb = self.command("initdb");
        initdb.args(["--no-sync", "--no-instructions", "--encoding=UTF8", "--no-locale", "--auth=trust"]);
        initdb.args(["--username=postgres", "--pgdata"]).arg(&data);
        run(initdb)?;
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
        for (file, name, mode) in [("robot.pem", "server.crt", 0o644), ("robot.key", "server.key", 0o600)] {
            let bytes = std::fs::read(fixtures.join(file)).map_err(|error| format!("{file}: {error}"))?;
            self.write(name, &bytes, mode)?;
        }
        self.write("pg_hba.conf", ACCESS.as_bytes(), 0o600)?;
        let on = if settings.durable { "on" } else { "off" };
        let conf = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nssl = on\n\
             fsync = {on}\nfull_page_writes = {on}\nwal_level = minimal\nmax_wal_senders = 0\n\
             max_connections = 300\nshared_buffers = 64MB\njit = off\ntimezone = 'UTC'\nlog_timezone = 'UTC'\n\
             password_encryption = 'scram-sha-256'\nlog_line_prefix = '%m %d [%p] '\n{}\n",
            self.inner.port,
            self.inner.folder.display(),
            settings.lines.join("\n"),
        );
        self.write("postgresql.auto.conf", conf.as_bytes(), 0o600)
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), String> {
        let path = self.data().join(name);
        let done = std::fs::write(&path, bytes)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)))
            .and_then(|()| match self.inner.user {
                Some((uid, gid)) => chown(&path, Some(uid), Some(gid)),
                None => Ok(()),
            });
        done.map_err(|error| format!("{name}: {error}"))
    }

    fn data(&self) -> PathBuf {
        self.inner.folder.join("data")
    }

    fn command(&self, program: &str) -> Command {
        as_user(&self.inner.programs.join(program), &self.inner.folder, self.inner.user)
    }

    /// Starts it after [`Server::down`]; it has the same port and data.
    pub(crate) fn up(&self) -> Result<(), String> {
        let mut start = self.command("pg_ctl");
        start.args(["start", "-s", "-w", "-t", "60", "-D"]).arg(self.data());
        start.arg("-l").arg(self.inner.folder.join("log"));
        run(start).map_err(|why| format!("{why}\n{}", self.log()))
    }

    /// Stops it: at once like a crash, or after the sessions were ended in an orderly way.
    pub(crate) fn down(&self, at_once: bool) -> Result<(), String> {
        let mut stop = self.command("pg_ctl");
        let mode = if at_once { "immediate" } else { "fast" };
        stop.args(["stop", "-s", "-w", "-t", "60", "-m", mode, "-D"]).arg(self.data());
        run(stop)
    }

    /// What the server has to say.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.inner.folder.join("log")).unwrap_or_default()
    }

    /// Where it listens, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.inner.port
    }

    /// Certificates of the authority that signed the server's, for `sslrootcert`.
    pub(crate) fn authority() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/ca.pem")
    }

    /// A fresh, empty database; gone when its handle is.
    pub(crate) async fn database(&self) -> Database {
        let name = format!("test_{}", self.inner.databases.fetch_add(1, Ordering::Relaxed));
        let client = self.client("postgres").await;
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        Database { server: self.clone(), name }
    }

    /// A role `scram` that must give this password, over TLS, and owns the database.
    pub(crate) async fn with_password(&self, database: &Database, password: &str) {
        let client = self.client("postgres").await;
        let role = "DO $$ BEGIN CREATE ROLE scram LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
        client.batch_execute(role).await.unwrap();
        let grant = format!("ALTER ROLE scram PASSWORD '{password}'; ALTER DATABASE {} OWNER TO scram", database.name);
        client.batch_execute(&grant).await.unwrap();
    }

    async fn client(&self, database: &str) -> tokio_postgres::Client {
        connect(self.inner.port, database).await.unwrap()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut keeper = self.keeper.lock().unwrap();
        drop(keeper.stdin.take());
        let _ = keeper.wait();
    }
}

/// A database on a private server.
pub(crate) struct Database {
    server: Server,
    name: String,
}

impl Database {
    /// The server it is on.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// As a superuser without TLS.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.server.port())
    }

    /// The same through a proxy on another port.
    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/{}?sslmode=disable", self.name)
    }

    /// As the role that [`Server::with_password`] made, with these parameters.
    pub(crate) fn url_of_scram(&self, password: &str, parameters: &str) -> String {
        format!("postgres://scram:{password}@127.0.0.1:{}/{}?{parameters}", self.server.port(), self.name)
    }

    /// A plain connection.
    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        self.server.client(&self.name).await
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap();
    }

    /// A setting of each session that begins from now on.
    pub(crate) async fn set(&self, setting: &str, value: &str) {
        self.run(&format!("ALTER DATABASE {} SET {setting} = {value}", self.name)).await;
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (port, name) = (self.server.port(), std::mem::take(&mut self.name));
        // A thread of its own: this may be inside a runtime, or outside of any.
        let gone = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let drop = async {
                // It may be down; then the folder goes with all that is in it.
                if let Ok(client) = connect(port, "postgres").await {
                    let _ = client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
                }
            };
            let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), drop).await });
        });
        let _ = gone.join();
    }
}

async fn connect(port: u16, database: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).user("postgres").dbname(database).application_name("tests");
    config.connect_timeout(Duration::from_secs(10)).ssl_mode(tokio_postgres::config::SslMode::Disable);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn as_user(program: &Path, folder: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).current_dir(folder).env("HOME", folder).env("LC_ALL", "C");
    for name in ["PGDATA", "PGPORT", "PGHOST", "PGOPTIONS", "PGUSER", "PGDATABASE"] {
        command.env_remove(name);
    }
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn keeper(programs: &Path, folder: &Path, user: Option<(u32, u32)>) -> Result<Child, String> {
    let mut keeper = as_user(Path::new("/bin/sh"), folder, user);
    keeper.arg("-c").arg(KEEPER).arg("keeper").arg(programs).arg(folder);
    // In a group of its own: an interrupt from the keyboard must not end it before the server. Nor may it hold open
    // what our own output goes to.
    keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).current_dir("/");
    keeper.spawn().map_err(|error| format!("sh: {error}"))
}

fn run(mut command: Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Err(format!("{program}: {} {} {}", output.status, words(&output.stdout), words(&output.stderr)))
}
