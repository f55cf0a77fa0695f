//! Room on the disks of folders.

use std::path::PathBuf;

use portcullis_host::doctor::free_bytes;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Folder {
    folder: &'static str,
}

/// Room on the disks of some folders.
#[derive(Debug)]
pub struct DiskGauge {
    folders: Vec<(&'static str, PathBuf)>,
    free: Family<Folder, Gauge>,
}

impl DiskGauge {
    /// Has `registry` show `disk_free_bytes` of these folders, by their labels.
    pub fn register(registry: &mut Registry, folders: Vec<(&'static str, PathBuf)>) -> Self {
        let free = Family::default();
        registry.register(
            "disk_free_bytes",
            "Room on the disk of each folder that the program writes to",
            free.clone(),
        );
        let gauge = Self { folders, free };
        gauge.set();
        gauge
    }

    /// As it is now; a system that does not tell has no line.
    pub fn set(&self) {
        for (folder, path) in &self.folders {
            if let Some(free) = free_bytes(path) {
                let gauge = self.free.get_or_create(&Folder { folder });
                gauge.set(i64::try_from(free).unwrap_or(i64::MAX));
            }
        }
    }
}
