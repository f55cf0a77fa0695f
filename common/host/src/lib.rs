//! What the programs ask of an operating system.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod clock;
pub mod command_line;
pub mod config;
pub mod doctor;
#[cfg(unix)]
pub mod hardening;
pub mod json;
pub mod limit;
pub mod lock;
pub mod log;
pub mod names;
pub mod nearest;
pub mod output;
#[cfg(unix)]
pub mod private_files;
pub mod self_description;
#[cfg(target_os = "linux")]
pub mod service_manager;
pub mod text;
#[cfg(unix)]
pub mod users;
pub mod version;
