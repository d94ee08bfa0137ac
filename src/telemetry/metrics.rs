//! Metrics of the process and its build, named as Prometheus' client libraries name them.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge, Opts, Registry};

/// Ticks per second in `/proc/*/stat`: fixed by Linux' interface to programs on every architecture we build for.
const USER_HZ: f64 = 100.0;

/// Reads `/proc/self` at every scrape; where there is none (not Linux), the values stay 0.
#[derive(Debug)]
pub struct ProcessMetrics {
    cpu: Counter,
    resident: IntGauge,
    virt: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    threads: IntGauge,
    start: Gauge,
}

impl ProcessMetrics {
    /// Makes the collector and registers it.
    ///
    /// # Errors
    /// It is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<()> {
        let this = Self {
            cpu: Counter::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")?,
            resident: IntGauge::new("process_resident_memory_bytes", "Resident memory size in bytes.")?,
            virt: IntGauge::new("process_virtual_memory_bytes", "Virtual memory size in bytes.")?,
            open_fds: IntGauge::new("process_open_fds", "Number of open file descriptors.")?,
            max_fds: IntGauge::new("process_max_fds", "Maximum number of open file descriptors.")?,
            threads: IntGauge::new("process_threads", "Number of OS threads in the process.")?,
            start: Gauge::new("process_start_time_seconds", "Start time of the process since unix epoch in seconds.")?,
        };
        registry.register(Box::new(this))
    }

    fn parts(&self) -> [&dyn Collector; 7] {
        [&self.cpu, &self.resident, &self.virt, &self.open_fds, &self.max_fds, &self.threads, &self.start]
    }

    /// `None` when something could not be read; what could be is set.
    fn refresh(&self) -> Option<()> {
        if let Ok(fds) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory being read.
            self.open_fds.set(i64::try_from(fds.count()).ok()?.saturating_sub(1));
        }
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.max_fds.set(most.and_then(|most| i64::try_from(most).ok()).unwrap_or(i64::MAX));
        let status = fs::read_to_string("/proc/self/status").ok()?;
        self.resident.set(of_status(&status, "VmRSS:").unwrap_or(0) * 1024);
        self.virt.set(of_status(&status, "VmSize:").unwrap_or(0) * 1024);
        self.threads.set(of_status(&status, "Threads:").unwrap_or(0));
        let stat = Stat::parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
        // The counter can only be added to; two scrapes at once must not add the same time twice.
        let more = stat.cpu_seconds - self.cpu.get();
        if more > 0.0 {
            self.cpu.inc_by(more);
        }
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        self.start.set(boot + stat.start_seconds);
        Some(())
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(|part| part.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _ = self.refresh();
        self.parts().into_iter().flat_map(|part| part.collect()).collect()
    }
}

/// A number of `/proc/self/status`.
fn of_status(status: &str, name: &str) -> Option<i64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[derive(PartialEq, Debug)]
struct Stat {
    cpu_seconds: f64,
    /// Since boot.
    start_seconds: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name in brackets may hold spaces and brackets; fields are counted from behind it (proc(5): state is 3).
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self { cpu_seconds: (field(14)? + field(15)?) / USER_HZ, start_seconds: field(22)? / USER_HZ })
    }
}

/// Registers `alarmbell_build_info{version,revision}`, always 1.
///
/// # Errors
/// It is registered already.
pub fn build_info(registry: &Registry) -> prometheus::Result<()> {
    let revision = option_env!("ALARMBELL_REVISION").unwrap_or("unknown");
    let opts = Opts::new("alarmbell_build_info", "What was built; always 1.")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("revision", revision);
    let gauge = IntGauge::with_opts(opts)?;
    gauge.set(1);
    registry.register(Box::new(gauge))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn reads_a_name_with_brackets() {
        let text = "42 (a b) (c) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 4 0 12300 1000 200 1";
        assert_eq!(Stat::parse(text), Some(Stat { cpu_seconds: 2.0, start_seconds: 123.0 }));
        assert_eq!(Stat::parse("42 (x) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn shows_this_process() {
        let registry = Registry::new();
        ProcessMetrics::register(&registry).unwrap();
        build_info(&registry).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name));
            line.unwrap_or_else(|| panic!("{name} in {text}")).rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0 && value("process_open_fds") <= value("process_max_fds"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let age = jiff::Timestamp::now().as_second() as f64 - value("process_start_time_seconds");
        assert!((-5.0..86_400.0).contains(&age), "{age}");
        assert!((value("alarmbell_build_info") - 1.0).abs() < f64::EPSILON);
        assert!(text.contains(env!("CARGO_PKG_VERSION")));
    }
}
