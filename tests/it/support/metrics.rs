//! Reading Prometheus' text format.

use std::collections::BTreeSet;

/// One series at one scrape.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

impl Sample {
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// One scrape.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub text: String,
    pub samples: Vec<Sample>,
}

impl Metrics {
    pub fn parse(text: String) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(sample).collect();
        Self { text, samples }
    }

    /// Sum of the series that have these labels. 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let full = format!("alarmbell_{name}");
        let fits = |sample: &&Sample| {
            (sample.name == full || sample.name == name)
                && labels.iter().all(|(key, value)| sample.label(key) == *value)
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).sum()
    }

    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }

    /// Names of all bots that ever accepted something.
    pub fn bots(&self) -> BTreeSet<String> {
        let of = |sample: &&Sample| sample.name == "alarmbell_alert_states_accepted_total";
        self.samples.iter().filter(of).map(|sample| sample.label("bot").to_owned()).collect()
    }

    /// accepted - told - superseded - dead = queue, for every bot. Returns the sum of what was accepted.
    #[track_caller]
    pub fn check_equation(&self) -> u64 {
        let mut all = 0.0;
        for bot in self.bots() {
            let term = |name: &str| self.sum(name, &[("bot", &bot)]);
            let accepted = term("alert_states_accepted_total");
            let told = term("alert_states_told_total");
            let superseded = term("alert_states_superseded_total");
            let dead = term("alert_states_dead_total");
            let queue = term("queue_alerts");
            assert_eq!(
                accepted - told - superseded - dead,
                queue,
                "{bot}: accepted {accepted} - told {told} - superseded {superseded} - dead {dead} is not queue {queue}"
            );
            all += accepted;
        }
        all as u64
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line}"));
    let value = match value {
        "+Inf" => f64::INFINITY,
        value => value.parse().unwrap_or_else(|_| panic!("not a number: {line}")),
    };
    let Some((name, labels)) = series.split_once('{') else {
        return Sample { name: series.to_owned(), labels: Vec::new(), value };
    };
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("not labels: {line}"));
    // No value that the tests configure holds a quote.
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("not labels: {line}"));
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    };
    Sample { name: name.to_owned(), labels: pairs.map(pair).collect(), value }
}
