//! `check-config`: every mistake of every file.

use std::path::Path;

use super::args::CheckConfig;
use super::{Failure, plural, say, warn};
use crate::config::{self, Loaded, WebConfig};
use crate::model::Mistake;

/// What the check found.
#[derive(Default)]
struct Found {
    /// One line for each file without mistakes.
    fine: String,
    /// Mistakes and warnings.
    wrong: String,
    refused: bool,
}

pub(super) fn run(args: &CheckConfig) -> Result<(), Failure> {
    let found = check(args);
    say(&found.fine)?;
    if found.refused {
        return Err(Failure { code: 2, text: found.wrong });
    }
    warn(&found.wrong);
    Ok(())
}

fn check(args: &CheckConfig) -> Found {
    let mut found = Found::default();
    for file in &args.files {
        match config::load(file) {
            Ok(loaded) => found.take(file, &summary(&loaded), &loaded.warnings),
            Err(mistakes) => found.refuse(file, &mistakes),
        }
    }
    if let Some(file) = &args.web_config_file {
        match config::load_web(file) {
            Ok(WebConfig { users, warnings }) => found.take(file, &plural(users.len(), "user"), &warnings),
            Err(mistakes) => found.refuse(file, &mistakes),
        }
    }
    found
}

impl Found {
    fn take(&mut self, file: &Path, summary: &str, warnings: &[Mistake]) {
        self.fine.push_str(&format!("{}: ok: {summary}\n", file.display()));
        self.report(warnings);
    }

    fn refuse(&mut self, file: &Path, mistakes: &[Mistake]) {
        self.refused = true;
        self.report(mistakes);
        let count = mistakes.iter().filter(|mistake| !mistake.warning).count();
        self.wrong.push_str(&format!("\n{}: {}\n", file.display(), plural(count, "mistake")));
    }

    fn report(&mut self, mistakes: &[Mistake]) {
        if mistakes.is_empty() {
            return;
        }
        if !self.wrong.is_empty() {
            self.wrong.push('\n');
        }
        self.wrong.push_str(&config::report(mistakes));
    }
}

fn summary(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let parts = [
        (config.bots.len(), "bot"),
        (config.routing.policies.len(), "policy"),
        (config.routing.contacts.len(), "contact"),
        (config.routing.contact_groups.len(), "contact group"),
        (config.template_files.len(), "template file"),
        (loaded.warnings.len(), "warning"),
    ];
    let said = parts.into_iter().enumerate().filter(|(at, (count, _))| *at < 2 || *count > 0);
    let mut said: Vec<String> = said.map(|(_, (count, what))| plural(count, what)).collect();
    if config.routing.default_policy.is_none() {
        said.push("no default_policy".to_owned());
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{Folder, SECRETS};

    fn checked(files: &[std::path::PathBuf], web: Option<std::path::PathBuf>) -> Found {
        check(&CheckConfig { files: files.to_vec(), web_config_file: web })
    }

    #[test]
    fn the_examples_are_fine_and_counted() {
        let found = checked(&["examples/minimal.yml".into(), "examples/full.yml".into()], None);
        assert!(!found.refused, "{}", found.wrong);
        assert!(found.fine.starts_with("examples/minimal.yml: ok: 1 bot, 0 policies\nexamples/full.yml: ok: 3 bots, 2 policies, 2 contacts, 1 contact group\n"), "{}", found.fine);
        assert_eq!(found.wrong, "");
        assert!(run(&CheckConfig { files: vec!["examples/minimal.yml".into()], web_config_file: None }).is_ok());
    }

    #[test]
    fn every_mistake_of_every_file() {
        let folder = Folder::new();
        let one = folder.write("one.yml", "bots: 5\nnonsense: 1\n");
        let two = folder.write("two.yml", &folder.config().replace("type: wecom", "type: wechat"));
        let web = folder.write("web.yml", "basic_auth_users: {u: plainpassword-MARK}\n");
        let files = [one.clone(), folder.config_file(), two.clone(), "missing.yml".into()];
        let found = checked(&files, Some(web.clone()));
        assert!(found.refused);
        assert!(found.fine.starts_with(&format!("{}: ok: ", folder.config_file().display())), "{}", found.fine);
        for part in [
            format!("{}:1:", one.display()),
            format!("{}:2:", one.display()),
            format!("{}:", two.display()),
            "wechat".to_owned(),
            "missing.yml: the file can not be read".to_owned(),
            format!("{}:1:", web.display()),
            "hint: ".to_owned(),
            format!("{}: 3 mistakes", one.display()),
        ] {
            assert!(found.wrong.contains(&part), "{part} is missing in\n{}", found.wrong);
        }
        for secret in SECRETS.iter().chain(&["plainpassword-MARK"]) {
            assert!(!found.wrong.contains(secret) && !found.fine.contains(secret), "{secret}");
        }
        assert_eq!(run(&CheckConfig { files: vec![one], web_config_file: None }).unwrap_err().code, 2);
    }
}
