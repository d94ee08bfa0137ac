//! `--web.config.file`, in exporter-toolkit's format.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;

use bcrypt::HashParts;

use crate::model::{Mistake, Secret};

use super::fields::Fields;
use super::node::{Data, Node};
use super::report::{Pos, Report, quoted};
use super::{load, open, redact, unreadable};

const KEYS: &[&str] = &["basic_auth_users", "tls_server_config", "http_server_config", "rate_limit"];
/// A login of cost 10 takes about 70 ms, and twice that for each step more.
const MAX_COST: u32 = 14;
const MIN_COST: u32 = 10;
const HASH_HINT: &str = "make one with htpasswd -nBC 12 NAME";

/// Who may use the web server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WebConfig {
    /// Users and their bcrypt hashes; empty: everybody, without a password.
    pub users: BTreeMap<String, Secret>,
    /// What is odd about the file; sorted by place.
    pub warnings: Vec<Mistake>,
}

/// Reads a web config file. Blocks on I/O.
///
/// # Errors
/// Every mistake and warning, sorted by place. No text holds a hash.
pub fn load_web(path: &Path) -> Result<WebConfig, Vec<Mistake>> {
    let name = path.display().to_string();
    match open(path).1 {
        Ok(text) => parse_web_str(&name, &text),
        Err(why) => Err(vec![unreadable(&name, &why)]),
    }
}

/// Reads a web config from a text. `name` is what mistakes call it.
///
/// # Errors
/// As [`load_web`].
pub fn parse_web_str(name: &str, text: &str) -> Result<WebConfig, Vec<Mistake>> {
    let text = &*load::plain_breaks(text);
    if text.trim().is_empty() {
        return Ok(WebConfig::default());
    }
    let mut report = Report::new(name, text);
    let Some(tree) = load::tree(&mut report) else { return Err(report.finish(None)) };
    let users = users(&tree.root, &mut report);
    let refused = report.has_errors();
    let mistakes = report.finish(Some(&redact::shown_text(text, &tree.root, &tree.extras)));
    if refused { Err(mistakes) } else { Ok(WebConfig { users, warnings: mistakes }) }
}

fn users(root: &Node, report: &mut Report) -> BTreeMap<String, Secret> {
    let mut users = BTreeMap::new();
    let Some(fields) = Fields::open(root, "the web config", KEYS, report) else { return users };
    for key in &KEYS[1..] {
        if fields.node(key).is_some() {
            let (what, hint) = match *key {
                "tls_server_config" => ("TLS", "let a reverse proxy do TLS, and listen on 127.0.0.1"),
                "http_server_config" => ("headers and HTTP/2", "let a reverse proxy do it"),
                _ => ("rate limits", "let a reverse proxy do it"),
            };
            report.mistake(
                fields.key_pos(key),
                format!("`{key}`: {what} are not in this version").replace("TLS are", "TLS is"),
                hint,
            );
        }
    }
    let Some(node) = fields.node("basic_auth_users") else { return users };
    let Data::Map(entries) = &node.data else {
        report.mistake(node.pos, format!("`basic_auth_users` must be a map, not {}", node.noun()), "user: hash");
        return users;
    };
    for entry in entries {
        user(&entry.key, entry.pos, report);
        let Data::Scalar { text, .. } = &entry.value.data else {
            let what = format!("the hash of {} must be a single value, not {}", quoted(&entry.key), entry.value.noun());
            report.mistake(entry.value.pos, what, HASH_HINT);
            continue;
        };
        entry.value.conceal();
        report.hide(text);
        hash(&entry.key, text, entry.value.pos, report);
        users.insert(entry.key.clone(), Secret::new(text.clone()));
    }
    users
}

fn user(name: &str, pos: Pos, report: &mut Report) {
    if name.is_empty() || name.len() > 255 || name.contains(':') || name.contains(char::is_control) {
        let what = format!("{} can not be the name of a user", quoted(name));
        report.mistake(pos, what, "Basic authentication ends the name at the first `:`");
    }
}

fn hash(user: &str, text: &str, pos: Pos, report: &mut Report) {
    let user = quoted(user);
    match HashParts::from_str(text) {
        Err(_) => report.mistake(pos, format!("what stands for {user} is no bcrypt hash"), HASH_HINT),
        Ok(parts) if parts.get_cost() > MAX_COST => {
            let what = format!("the hash of {user} has cost {}: each login would take seconds", parts.get_cost());
            report.mistake(pos, what, format!("{MIN_COST} to {MAX_COST}; {HASH_HINT}"));
        }
        Ok(parts) if parts.get_cost() < MIN_COST => {
            let what = format!("the hash of {user} has cost {}: passwords can be guessed fast", parts.get_cost());
            report.warning(pos, what, format!("{MIN_COST} to {MAX_COST}; {HASH_HINT}"));
        }
        Ok(_) => {}
    }
}
