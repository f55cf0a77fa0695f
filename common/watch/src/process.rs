//! What Prometheus' own libraries tell of a process, by the same names.

#[cfg(target_os = "linux")]
#[path = "process/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "process/other.rs"]
mod system;

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Memory and open files of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Process {
    resident: Gauge,
    files: Gauge,
    most_files: Gauge,
}

/// What the system says; `None`: nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    resident_bytes: Option<u64>,
    open_files: Option<u64>,
    most_files: Option<u64>,
}

impl Process {
    pub(crate) fn register(registry: &mut Registry, started: f64) -> Self {
        let start = Gauge::<f64, AtomicU64>::default();
        start.set(started);
        registry.register(
            "process_start_time_seconds",
            "When the process was started, in seconds since 1970",
            start,
        );
        let process = Self::default();
        let rows = [
            (
                "process_resident_memory_bytes",
                "Memory that the process has",
                &process.resident,
            ),
            (
                "process_open_fds",
                "Files and connections that are open",
                &process.files,
            ),
            (
                "process_max_fds",
                "Files and connections that may be open",
                &process.most_files,
            ),
        ];
        // What the system does not tell is not told as zero.
        let found = system::find();
        let known = [found.resident_bytes, found.open_files, found.most_files];
        for ((name, help, gauge), known) in rows.into_iter().zip(known) {
            if known.is_some() {
                registry.register(name, help, gauge.clone());
            }
        }
        process
    }

    pub(crate) fn set(&self) {
        let found = system::find();
        for (gauge, value) in [
            (&self.resident, found.resident_bytes),
            (&self.files, found.open_files),
            (&self.most_files, found.most_files),
        ] {
            if let Some(value) = value {
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
    }
}
