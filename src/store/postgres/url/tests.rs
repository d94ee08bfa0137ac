//! What a URL may say, and what is said of one that can not be used.
#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

const CONNECT: Duration = Duration::from_secs(3);

fn good(url: &str) -> Target {
    parse(url, CONNECT).unwrap_or_else(|error| panic!("{url}: {error}"))
}

#[test]
fn ssl_means_what_libpq_says() {
    let ca = || PathBuf::from("/etc/ca.pem");
    let cases = [
        ("", SslMode::Prefer, Trust::Anybody),
        ("?sslmode=disable", SslMode::Disable, Trust::Anybody),
        ("?sslmode=prefer&sslrootcert=/etc/ca.pem", SslMode::Prefer, Trust::Anybody),
        ("?sslmode=require", SslMode::Require, Trust::Anybody),
        ("?sslmode=require&sslrootcert=/etc/ca.pem", SslMode::Require, Trust::Chain(ca())),
        ("?sslrootcert=/etc/ca.pem&sslmode=verify-ca", SslMode::Require, Trust::Chain(ca())),
        ("?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem", SslMode::Require, Trust::Name(Roots::File(ca()))),
        ("?sslmode=verify-full", SslMode::Require, Trust::Name(Roots::System)),
        ("?sslrootcert=system", SslMode::Require, Trust::Name(Roots::System)),
        ("?sslmode=verify-full&sslrootcert=system", SslMode::Require, Trust::Name(Roots::System)),
    ];
    for (query, mode, trust) in cases {
        let target = good(&format!("postgres://u:p@h/d{query}"));
        assert_eq!((target.hosts[0].get_ssl_mode(), target.trust), (mode, trust), "{query}");
    }
}

#[cfg(unix)]
#[test]
fn a_socket_needs_no_tls() {
    let target = good("postgres://u:p@%2Frun%2Fpg,h/d?sslmode=verify-full");
    assert_eq!(target.hosts[0].get_hosts(), [Host::Unix("/run/pg".into())]);
    assert_eq!(target.hosts[0].get_ssl_mode(), SslMode::Disable);
    assert_eq!(target.hosts[1].get_ssl_mode(), SslMode::Require);
}

#[test]
fn a_url_says_where_and_has_defaults() {
    let target = good("postgresql://us%20er:p%40%3F%2F@one:6000,[::1],three:6002/da-ta?connect_timeout=7");
    let hosts: Vec<_> =
        target.hosts.iter().map(|host| (host.get_hosts().to_vec(), host.get_ports().to_vec())).collect();
    let tcp = |name: &str| vec![Host::Tcp(name.to_owned())];
    assert_eq!(hosts, [(tcp("one"), vec![6000]), (tcp("::1"), vec![5432]), (tcp("three"), vec![6002])]);
    for host in &target.hosts {
        assert_eq!((host.get_user(), host.get_password()), (Some("us er"), Some(&b"p@?/"[..])));
        assert_eq!((host.get_dbname(), host.get_application_name()), (Some("da-ta"), Some("alarmbell")));
        assert_eq!(host.get_connect_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(host.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!((host.get_keepalives_idle(), host.get_tcp_user_timeout()), (KEEPALIVE_IDLE, Some(&USER_TIMEOUT)));
    }
    let target = good(
        "postgres:///d?host=a,b&port=1,2&user=u&target_session_attrs=any&tcp_user_timeout=1500&keepalives_count=9\
         &application_name=x&keepalives_idle=60&gssencmode=disable&password=a'b\\c",
    );
    assert_eq!(target.hosts.len(), 2);
    let host = &target.hosts[1];
    assert_eq!((host.get_hosts(), host.get_ports()), (&tcp("b")[..], &[2][..]));
    assert_eq!(host.get_target_session_attrs(), TargetSessionAttrs::Any);
    assert_eq!(host.get_tcp_user_timeout(), Some(&Duration::from_millis(1_500)));
    assert_eq!(host.get_keepalives_retries(), Some(9));
    assert_eq!((host.get_application_name(), host.get_password()), (Some("x"), Some(&b"a'b\\c"[..])));
    assert_eq!(host.get_connect_timeout(), Some(&CONNECT));
}

#[test]
fn what_is_wrong_is_said_without_the_url() {
    let cases = [
        ("host=h user=u password=topsecret", "must begin with postgres://"),
        ("mysql://u:topsecret@h/d", "must begin with postgres://"),
        ("postgres://u:topsecret@/d", "names no host"),
        ("postgres:///d", "names no host"),
        ("postgres://u:topsecret@h:port/d", "it is not postgres://"),
        ("postgres://u:topsecret@h/d?sslmode=on", "sslmode is one of"),
        ("postgres://u:topsecret@h/d?sslmode=verify-ca", "needs sslrootcert"),
        ("postgres://u:topsecret@h/d?sslmode=require&sslrootcert=system", "needs sslmode=verify-full"),
        ("postgres://u:topsecret@h/d?poolsize=3", "poolsize is not known"),
        ("postgres://u:top@se?cret@h/topsecret=1", "a parameter is not known"),
        ("postgres://u:topsecret@h/d?sslcert=c.pem", "sslcert is not supported"),
        ("postgres://u:topsecret@h/d?target_session_attrs=read-only", "alarmbell writes"),
        ("postgres://u:topsecret@h/d?target_session_attrs=topsecret", "a value that it can not have"),
        ("postgres://u:topsecret@a,b,c/d?port=1,2", "one for each host"),
        ("postgres://u:topsecret@h/d?application_name=%ff", "application_name is not UTF-8"),
        ("postgres://%ffsecret:p@h/d", "it is not postgres://"),
    ];
    for (url, says) in cases {
        let Err(error) = parse(url, CONNECT) else { panic!("{url} was taken") };
        assert!(matches!(&error, StoreError::Unusable(why) if why.contains(says)), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{url}: {error}");
    }
}
