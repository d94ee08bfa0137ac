//! Where the store is, as the command line says it: a folder, or a database whose URL is a secret.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Failure;
use crate::model::Secret;

/// How a URL is written; for hints.
const EXAMPLE: &str = "postgres://user:password@host:5432/database?sslmode=verify-full";

/// Said once when a password was typed: `ps` shows command lines to everybody on the machine.
pub(super) const EXPOSED: &str = "the database's password stands in the command line, which every process of this \
                                  machine can read; put the URL into a file that only alarmbell can read";

/// Bytes of a file with a URL or a password, at most.
const FILE_BYTES: u64 = 64 << 10;

/// Flags that name a database. None of them: the embedded store in `--storage.path`.
#[derive(Args, Clone, Debug, Default)]
pub struct Database {
    /// PostgreSQL database that replicas share, as postgres://user@host:5432/database; --storage.path is then the
    /// folder that makes this replica known again after a restart. Other processes can read the command line: give a URL
    /// with a password by --storage.url-file
    #[arg(long = "storage.url", value_name = "URL", value_parser = secret, conflicts_with = "url_file")]
    pub url: Option<Secret>,
    /// File that holds the URL of --storage.url
    #[arg(long = "storage.url-file", value_name = "FILE")]
    pub url_file: Option<PathBuf>,
    /// File that holds the password, for a URL without one
    #[arg(long = "storage.password-file", value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// A database's URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Given {
    /// The URL; a secret.
    pub(super) url: Secret,
    /// Whether a password stands in the command line.
    pub(super) exposed: bool,
}

impl Database {
    /// The database's URL; `None` for the embedded store.
    ///
    /// # Errors
    /// A usage error, without the URL: it is none, its file can not be read, there are two passwords.
    pub(super) fn given(&self) -> Result<Option<Given>, Failure> {
        let given = match (&self.url, &self.url_file) {
            (Some(url), _) => from_line("--storage.url", url)?,
            (None, Some(file)) => from_file("--storage.url-file", file)?,
            (None, None) if self.password_file.is_some() => {
                return Err(Failure::usage("--storage.password-file is of use only with --storage.url"));
            }
            (None, None) => return Ok(None),
        };
        let Some(file) = &self.password_file else { return Ok(Some(given)) };
        if has_password(given.url.expose()) {
            return Err(Failure::usage(
                "the URL of the database holds a password, and so does --storage.password-file",
            ));
        }
        let password = read("--storage.password-file", file)?;
        Ok(Some(Given { url: with_password(given.url.expose(), password.expose()), exposed: false }))
    }
}

/// Takes any text: what is wrong with it must be said without it.
#[allow(clippy::unnecessary_wraps, reason = "clap wants a parser that may fail")]
pub(super) fn secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

/// Whether this is written like a database's URL rather than like a path.
pub(super) fn is_url(text: &str) -> bool {
    text.contains("://")
}

/// A URL from the command line.
pub(super) fn from_line(flag: &str, url: &Secret) -> Result<Given, Failure> {
    check(flag, url)?;
    Ok(Given { exposed: has_password(url.expose()), url: url.clone() })
}

/// A URL from a file.
pub(super) fn from_file(flag: &str, file: &Path) -> Result<Given, Failure> {
    let url = read(flag, file)?;
    check(flag, &url)?;
    Ok(Given { url, exposed: false })
}

fn check(flag: &str, url: &Secret) -> Result<(), Failure> {
    let text = url.expose();
    let scheme = ["postgres://", "postgresql://"].iter().find(|scheme| text.starts_with(**scheme));
    if scheme.is_none() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Failure::usage(format!(
            "{flag}: this is no URL of a PostgreSQL database; write it like {EXAMPLE} (special characters of the \
             password percent-encoded), or leave it out for the embedded store in --storage.path"
        )));
    }
    Ok(())
}

fn read(flag: &str, file: &Path) -> Result<Secret, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("{flag}: {}: {why}", file.display()));
    let mut text = String::new();
    let read = File::open(file).and_then(|open| open.take(FILE_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(wrong(&"it is no text")),
        Err(error) => return Err(wrong(&error)),
        Ok(bytes) if bytes as u64 > FILE_BYTES => return Err(wrong(&"it is too large")),
        Ok(_) => {}
    }
    match text.trim() {
        "" => Err(wrong(&"it is empty")),
        text => Ok(Secret::new(text)),
    }
}

/// The part behind `?`.
fn query(url: &str) -> Option<&str> {
    url.split_once('?').map(|(_, query)| query)
}

/// Whether the URL holds a password, as user:password@ or as a parameter.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user_info = rest.split_once('@').map_or("", |(user_info, _)| user_info);
    let parameter = query(url).is_some_and(|query| query.split('&').any(|part| part.starts_with("password=")));
    user_info.contains(':') || parameter
}

/// The URL with a password as a parameter: that is right for every form of host.
fn with_password(url: &str, password: &str) -> Secret {
    let joint = match query(url) {
        None => "?",
        Some("") => "",
        Some(_) => "&",
    };
    Secret::new(format!("{url}{joint}password={}", utf8_percent_encode(password, NON_ALPHANUMERIC)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn url(text: &str) -> Database {
        Database { url: Some(Secret::new(text)), ..Database::default() }
    }

    fn file(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_url_of_the_command_line() {
        assert_eq!(Database::default().given().unwrap(), None);
        for (text, exposed) in [
            ("postgres://db/alarmbell", false),
            ("postgresql://bell@db:5432,db2:5433/alarmbell?sslmode=verify-full", false),
            ("postgres://bell:pw@db/alarmbell", true),
            ("postgres://bell:p/w@db/alarmbell", true),
            ("postgres://db/alarmbell?user=bell&password=pw", true),
            ("postgres://db/alarmbell?passfile=x", false),
        ] {
            let given = url(text).given().unwrap().unwrap();
            assert_eq!((given.url.expose(), given.exposed), (text, exposed));
        }
    }

    #[test]
    fn what_is_no_url_is_never_quoted() {
        for text in ["", "MARK", "mysql://u:MARK@db/x", "postgres:/MARK", "postgres://u:MARK @db", "POSTGRES://MARK"] {
            let failure = url(text).given().unwrap_err();
            assert_eq!(failure.code, 2, "{text}");
            assert!(!failure.text.contains("MARK"), "{}", failure.text);
            assert!(failure.text.contains("--storage.url: ") && failure.text.contains(EXAMPLE), "{}", failure.text);
        }
        assert!(!format!("{:?}", url("postgres://u:MARK@db/x")).contains("MARK"));
    }

    #[test]
    fn a_file_is_trimmed_and_hides_its_password() {
        let (_folder, path) = file(b"\n postgres://bell:pw@db/alarmbell \n");
        let flags = Database { url_file: Some(path), ..Database::default() };
        let given = flags.given().unwrap().unwrap();
        assert_eq!((given.url.expose(), given.exposed), ("postgres://bell:pw@db/alarmbell", false));
        for (text, why) in [
            (&b""[..], "empty"),
            (b" \n", "empty"),
            (b"\xff\xfe", "no text"),
            (b"MARK", "no URL"),
            (b"postgres://a/b\npostgres://MARK", "no URL"),
            (&[b'x'; 70_000], "too large"),
        ] {
            let (_folder, path) = file(text);
            let flags = Database { url_file: Some(path), ..Database::default() };
            let failure = flags.given().unwrap_err();
            assert_eq!(failure.code, 2);
            assert!(failure.text.contains(why) && !failure.text.contains("MARK"), "{}", failure.text);
        }
        let gone = Database { url_file: Some("missing.url".into()), ..Database::default() };
        assert!(gone.given().unwrap_err().text.starts_with("error: --storage.url-file: missing.url: No such file"));
    }

    #[test]
    fn a_password_of_its_own_file_joins_the_url() {
        let (_folder, path) = file(b"p/w&?@%\n");
        for (text, joined) in [
            ("postgres://bell@db/x", "postgres://bell@db/x?password=p%2Fw%26%3F%40%25"),
            (
                "postgres://bell@a,b/x?sslmode=require",
                "postgres://bell@a,b/x?sslmode=require&password=p%2Fw%26%3F%40%25",
            ),
            ("postgres://bell@db/x?", "postgres://bell@db/x?password=p%2Fw%26%3F%40%25"),
        ] {
            let given = Database { password_file: Some(path.clone()), ..url(text) }.given().unwrap().unwrap();
            assert_eq!((given.url.expose(), given.exposed), (joined, false));
        }
        let twice = Database { password_file: Some(path.clone()), ..url("postgres://u:MARK@db/x") };
        assert!(twice.given().unwrap_err().text.contains("holds a password"));
        let alone = Database { password_file: Some(path), ..Database::default() };
        assert!(alone.given().unwrap_err().text.contains("only with --storage.url"));
    }
}
