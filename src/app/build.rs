//! From a config to what each room needs of it.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::render::Templates;
use crate::routing::{Notify, Router};
use crate::{dispatch, ingest, waiting};

/// What the rooms need of one config.
pub struct Built {
    /// For the way in.
    pub ingest: ingest::Settings,
    /// For delivery.
    pub dispatch: dispatch::Settings,
}

/// Compiles a config. `external_url` has no trailing slash and may be empty.
pub fn build(config: &Config, external_url: &str, retention: Duration) -> Built {
    let router = Arc::new(Router::new(config.routing.clone()));
    // Mistakes in templates were reported when the config was read; what is left compiles.
    let (templates, _) = Templates::new(&config.template_files);
    let options = waiting::Options {
        dedup_window: config.global.dedup_window,
        firing_memory: retention,
        ..waiting::Options::default()
    };
    Built {
        ingest: ingest::Settings {
            router: Arc::clone(&router),
            severities: config.routing.severities.clone(),
            send_resolved: config.bots.iter().map(|bot| (Arc::clone(&bot.name), bot.send_resolved)).collect(),
        },
        dispatch: dispatch::Settings {
            bots: config.bots.iter().map(|bot| (Arc::clone(&bot.name), Arc::new(bot.clone()))).collect(),
            router,
            templates: Arc::new(templates),
            severities: config.routing.severities.clone(),
            link_rewrites: Arc::clone(&config.global.link_rewrites),
            external_url: external_url.to_owned(),
            options,
            default_bots: default_bots(config),
            storms: waiting::StormOptions {
                interval: config.global.digest.interval,
                threshold: config.global.digest.threshold,
            },
            config_hash: config.hash.clone(),
            report_bot: config.global.report_bot.as_deref().map(Arc::from),
        },
    }
}

/// What delivery needs of a config, for commands that serve nothing.
pub fn dispatch_settings(config: &Config, external_url: &str) -> dispatch::Settings {
    build(config, external_url, waiting::Options::default().firing_memory).dispatch
}

/// The bots that the default policy reaches, each once.
fn default_bots(config: &Config) -> Vec<Arc<str>> {
    let Some(Notify::To { bots, contact_groups }) = config.routing.default_policy.as_ref().map(|p| &p.notify) else {
        return Vec::new();
    };
    let of_groups = contact_groups.iter().filter_map(|name| config.routing.contact_groups.get(name));
    let mut found: Vec<Arc<str>> = Vec::new();
    for name in bots.iter().chain(of_groups.flat_map(|group| &group.bots)) {
        if !found.iter().any(|known| **known == **name) {
            found.push(name.as_str().into());
        }
    }
    found
}
