//! The database's URL, as libpq reads it.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::tls::{Roots, Trust};
use crate::store::StoreError;

/// How long a connection that nobody uses may be silent before it is asked whether it still lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// Between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
/// Questions without an answer before it counts as broken.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent bytes may stay unacknowledged before the connection counts as broken.
const USER_TIMEOUT: Duration = Duration::from_secs(8);

/// Where the database is and whom to trust there.
pub(super) struct Target {
    /// One for each host, in order, each complete.
    pub(super) hosts: Vec<Config>,
    pub(super) trust: Trust,
}

fn unusable(why: &str) -> StoreError {
    StoreError::Unusable(format!("the database's URL can not be used: {why}"))
}

/// Reads a URL. What is wrong with it is said without any of its parts but names of parameters.
pub(super) fn parse(url: &str, connect_timeout: Duration) -> Result<Target, StoreError> {
    let url = url.trim();
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(unusable("it must begin with postgres://"));
    }
    // As tokio-postgres does: what is before the first @ are user and password, whatever stands in there.
    let from = url.find('@').unwrap_or(0);
    let (place, query) = match url[from..].find('?') {
        Some(at) => (&url[..from + at], &url[from + at + 1..]),
        None => (url, ""),
    };
    let mut config: Config =
        place.parse().map_err(|_| unusable("it is not postgres://user:password@host[:port][,host...]/database"))?;
    let mut ssl = Ssl::default();
    let mut given = Given::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value =
            percent_decode_str(value).decode_utf8().map_err(|_| unusable(&format!("{} is not UTF-8", shown(key))))?;
        parameter(&mut config, &mut ssl, &mut given, key, &value)?;
    }
    let trust = ssl.trust()?;
    config.ssl_mode(match ssl.mode {
        Mode::Disable => SslMode::Disable,
        Mode::Prefer => SslMode::Prefer,
        Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
    });
    let hosts = single_hosts(&config, &given)?;
    let hosts: Vec<Config> = hosts.into_iter().map(|host| defaults(host, &given, connect_timeout)).collect();
    Ok(Target { hosts, trust })
}

/// What the URL says itself, so that it gets no default.
#[derive(Default)]
struct Given {
    session: bool,
    keepalives: bool,
    user_timeout: bool,
    ports: Vec<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mode {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

#[derive(Default)]
struct Ssl {
    mode: Mode,
    mode_given: bool,
    roots: Option<String>,
}

impl Ssl {
    /// libpq's meaning: "require" with a CA file is "verify-ca"; "system" are the system's roots, for names only.
    fn trust(&self) -> Result<Trust, StoreError> {
        let file = match self.roots.as_deref() {
            Some("system") if self.mode_given && self.mode != Mode::VerifyFull => {
                return Err(unusable(
                    "sslrootcert=system needs sslmode=verify-full: the system's roots vouch for names",
                ));
            }
            Some("system") => return Ok(Trust::Name(Roots::System)),
            file => file.map(PathBuf::from),
        };
        Ok(match (self.mode, file) {
            (Mode::Disable | Mode::Prefer, _) | (Mode::Require, None) => Trust::Anybody,
            (Mode::Require | Mode::VerifyCa, Some(file)) => Trust::Chain(file),
            (Mode::VerifyCa, None) => {
                return Err(unusable("sslmode=verify-ca needs sslrootcert=FILE, the CA's certificate"));
            }
            (Mode::VerifyFull, Some(file)) => Trust::Name(Roots::File(file)),
            (Mode::VerifyFull, None) => Trust::Name(Roots::System),
        })
    }
}

/// A parameter's name as it may be shown: what looks like one.
fn shown(key: &str) -> &str {
    let plain = key.len() <= 40 && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if plain { key } else { "a parameter" }
}

fn parameter(config: &mut Config, ssl: &mut Ssl, given: &mut Given, key: &str, value: &str) -> Result<(), StoreError> {
    match key {
        "sslmode" => {
            ssl.mode = match value {
                "disable" => Mode::Disable,
                // libpq's "allow" tries without first; nobody should want that.
                "allow" | "prefer" => Mode::Prefer,
                "require" => Mode::Require,
                "verify-ca" => Mode::VerifyCa,
                "verify-full" => Mode::VerifyFull,
                _ => {
                    return Err(unusable("sslmode is one of disable, prefer, require, verify-ca and verify-full"));
                }
            };
            ssl.mode_given = true;
            return Ok(());
        }
        "sslrootcert" => {
            if value == "system" && !ssl.mode_given {
                ssl.mode = Mode::VerifyFull;
            }
            ssl.roots = Some(value.to_owned()).filter(|file| !file.is_empty());
            return Ok(());
        }
        // Nothing here could use it, and leaving it out changes nothing.
        "gssencmode" | "sslcompression" | "sslsni" if value != "require" => return Ok(()),
        "fallback_application_name" => {
            if config.get_application_name().is_none() {
                config.application_name(value);
            }
            return Ok(());
        }
        "sslcert" | "sslkey" | "sslpassword" | "sslcrl" | "passfile" | "service" | "requirepeer" | "require_auth" => {
            return Err(unusable(&format!("{key} is not supported")));
        }
        _ => {}
    }
    let renamed = match key {
        "keepalives_count" => "keepalives_retries",
        other => other,
    };
    let value = match (key, value) {
        ("target_session_attrs", "primary") => "read-write",
        (_, value) => value,
    };
    match key {
        "target_session_attrs" => {
            given.session = true;
            if value == "read-only" {
                return Err(unusable("target_session_attrs=read-only: alarmbell writes"));
            }
        }
        "keepalives_idle" => given.keepalives = true,
        "port" => given.ports = ports(value)?,
        "tcp_user_timeout" => {
            // libpq counts milliseconds here, tokio-postgres seconds.
            let ms: u64 = value.parse().map_err(|_| unusable("tcp_user_timeout is a number of milliseconds"))?;
            given.user_timeout = true;
            config.tcp_user_timeout(Duration::from_millis(ms));
            return Ok(());
        }
        _ => {}
    }
    merge(config, renamed, value)
}

fn ports(value: &str) -> Result<Vec<u16>, StoreError> {
    let port = |port: &str| if port.is_empty() { Ok(5432) } else { port.parse() };
    value.split(',').map(port).collect::<Result<_, _>>().map_err(|_| unusable("port is a number, or one for each host"))
}

/// Has tokio-postgres read one parameter.
fn merge(config: &mut Config, key: &str, value: &str) -> Result<(), StoreError> {
    const KNOWN: &[&str] = &[
        "user",
        "password",
        "dbname",
        "options",
        "application_name",
        "sslnegotiation",
        "host",
        "hostaddr",
        "port",
        "connect_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_retries",
        "target_session_attrs",
        "channel_binding",
        "load_balance_hosts",
    ];
    if !KNOWN.contains(&key) {
        return Err(unusable(&format!("{} is not known", shown(key))));
    }
    let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
    let one: Config = format!("{key}='{quoted}'")
        .parse()
        .map_err(|_| unusable(&format!("{key} has a value that it can not have")))?;
    match key {
        "user" => config.user(one.get_user().unwrap_or_default()),
        "password" => config.password(one.get_password().unwrap_or_default()),
        "dbname" => config.dbname(one.get_dbname().unwrap_or_default()),
        "options" => config.options(one.get_options().unwrap_or_default()),
        "application_name" => config.application_name(one.get_application_name().unwrap_or_default()),
        "sslnegotiation" => config.ssl_negotiation(one.get_ssl_negotiation()),
        "host" => one.get_hosts().iter().fold(config, add_host),
        "hostaddr" => one.get_hostaddrs().iter().fold(config, |config, addr| config.hostaddr(*addr)),
        "connect_timeout" => match one.get_connect_timeout() {
            Some(timeout) => config.connect_timeout(*timeout),
            None => config,
        },
        "keepalives" => config.keepalives(one.get_keepalives()),
        "keepalives_idle" => config.keepalives_idle(one.get_keepalives_idle()),
        "keepalives_interval" => match one.get_keepalives_interval() {
            Some(interval) => config.keepalives_interval(interval),
            None => config,
        },
        "keepalives_retries" => match one.get_keepalives_retries() {
            Some(retries) => config.keepalives_retries(retries),
            None => config,
        },
        "target_session_attrs" => config.target_session_attrs(one.get_target_session_attrs()),
        "channel_binding" => config.channel_binding(one.get_channel_binding()),
        "load_balance_hosts" => config.load_balance_hosts(one.get_load_balance_hosts()),
        // "port" is kept apart: a URL's hosts have ports of their own.
        _ => config,
    };
    Ok(())
}

fn add_host<'a>(config: &'a mut Config, host: &Host) -> &'a mut Config {
    match host {
        Host::Tcp(host) => config.host(host),
        #[cfg(unix)]
        Host::Unix(path) => config.host_path(path),
    }
}

/// The same for each host alone, so that a host that is slow to answer does not use up the time of the next.
fn single_hosts(config: &Config, given: &Given) -> Result<Vec<Config>, StoreError> {
    let (hosts, addrs) = (config.get_hosts(), config.get_hostaddrs());
    let count = hosts.len().max(addrs.len());
    if count == 0 {
        return Err(unusable("it names no host"));
    }
    if !hosts.is_empty() && !addrs.is_empty() && hosts.len() != addrs.len() {
        return Err(unusable("host and hostaddr must be as many"));
    }
    if hosts.iter().any(|host| matches!(host, Host::Tcp(name) if name.is_empty())) {
        return Err(unusable("it names no host"));
    }
    let ports = if given.ports.is_empty() { config.get_ports() } else { &given.ports };
    if ports.len() > 1 && ports.len() != count {
        return Err(unusable("ports must be one, or one for each host"));
    }
    let mut out = Vec::with_capacity(count);
    for at in 0..count {
        let mut one = without_hosts(config);
        match (hosts.get(at), addrs.get(at)) {
            (Some(host), _) => {
                add_host(&mut one, host);
            }
            // TLS wants a name.
            (None, Some(addr)) => {
                one.host(addr.to_string());
            }
            (None, None) => {}
        }
        if let Some(addr) = addrs.get(at) {
            one.hostaddr(*addr);
        }
        #[cfg(unix)]
        if matches!(one.get_hosts(), [Host::Unix(_)]) && one.get_hostaddrs().is_empty() {
            // Nobody is in between on a socket of this machine, and there is no TLS: as libpq does.
            one.ssl_mode(SslMode::Disable);
        }
        one.port(ports.get(at).or(ports.first()).copied().unwrap_or(5432));
        out.push(one);
    }
    Ok(out)
}

fn without_hosts(config: &Config) -> Config {
    let mut one = Config::new();
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(dbname) = config.get_dbname() {
        one.dbname(dbname);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        one.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    one
}

fn defaults(mut config: Config, given: &Given, connect_timeout: Duration) -> Config {
    if config.get_application_name().is_none() {
        config.application_name("alarmbell");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(connect_timeout);
    }
    if !given.session {
        // After a failover the old primary may be there as a standby.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if !given.user_timeout {
        config.tcp_user_timeout(USER_TIMEOUT);
    }
    if !given.keepalives {
        config.keepalives_idle(KEEPALIVE_IDLE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVE_RETRIES);
    }
    config
}

#[cfg(test)]
mod tests;
