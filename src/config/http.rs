//! `http_config:`, how to reach the robots.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::dispatch::HttpClientConfig;
use crate::model::Secret;

use super::fields::Fields;
use super::files::Files;
use super::node::Node;
use super::report::{Report, quoted};

pub(super) const KEYS: &[&str] = &["proxy_url", "no_proxy", "proxy_from_environment", "tls_config"];
const PROXY_SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// What holds without `http_config`.
pub(super) fn default() -> HttpClientConfig {
    HttpClientConfig { proxy_from_environment: true, ..HttpClientConfig::default() }
}

pub(super) fn read(node: &Node, files: &mut Files, report: &mut Report) -> HttpClientConfig {
    let mut http = default();
    let Some(fields) = Fields::open(node, "`http_config`", KEYS, report) else { return http };
    http.proxy_url = proxy_url(&fields, report);
    http.no_proxy = fields.text_or_empty("no_proxy", report).map(|found| found.value);
    http.proxy_from_environment = fields.flag("proxy_from_environment", true, report);
    if http.no_proxy.is_some() && !fields.has("proxy_url") {
        let what = "`no_proxy` has no effect without `proxy_url`";
        report.warning(fields.key_pos("no_proxy"), what, "the environment's proxy has its own variable NO_PROXY");
    }
    if let Some(node) = fields.node("tls_config") {
        tls(node, &mut http, files, report);
    }
    http
}

fn proxy_url(fields: &Fields<'_>, report: &mut Report) -> Option<Secret> {
    let found = fields.secret("proxy_url", report)?;
    let example = "like http://proxy.corp:3128 or socks5://proxy.corp:1080";
    match url::Url::parse(&found.value) {
        Ok(url) if PROXY_SCHEMES.contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty()) => {
            // The password alone must not be seen either.
            if let Some(password) = url.password() {
                report.hide(password);
            }
            Some(Secret::new(found.value))
        }
        _ => {
            let what = format!("`proxy_url` must be a URL with one of {}", PROXY_SCHEMES.join(", "));
            report.mistake(found.pos, what, example);
            None
        }
    }
}

fn tls(node: &Node, http: &mut HttpClientConfig, files: &mut Files, report: &mut Report) {
    let keys = ["ca_file", "insecure_skip_verify"];
    let Some(fields) = Fields::open(node, "`tls_config`", &keys, report) else { return };
    http.insecure_skip_verify = fields.flag("insecure_skip_verify", false, report);
    if http.insecure_skip_verify {
        let what = "certificates are not verified: whoever is on the way can read the webhook URLs";
        report.warning(fields.key_pos("insecure_skip_verify"), what, "`ca_file` trusts a private authority");
    }
    let Some(path) = fields.text("ca_file", report) else { return };
    let problem = match files.read(&path.value) {
        Ok(pem) => match certificates(&pem) {
            Ok(()) => {
                http.ca_pem = Some(pem);
                return;
            }
            Err(problem) => problem.to_owned(),
        },
        Err(why) => why,
    };
    report.mistake(path.pos, format!("`ca_file` {}: {problem}", quoted(&path.value)), "a PEM file with certificates");
}

fn certificates(pem: &[u8]) -> Result<(), &'static str> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificate.map_err(|_| "it is not PEM")?;
        count += 1;
    }
    if count == 0 { Err("there is no certificate in it") } else { Ok(()) }
}
