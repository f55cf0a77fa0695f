//! Who writes events, and where the system finds their texts.
#![allow(unsafe_code)]

use std::io;
use std::path::Path;
use std::ptr::{null, null_mut};

use tracing::Level;
use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE,
    RegisterEventSourceW, ReportEventW,
};

use super::kinds::{self, Kind, Severity};
use crate::registry_error;

/// Where the system keeps whose texts are where.
const SOURCES: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";
/// Characters of one event; the system takes 31,839.
const MOST: usize = 30_000;

/// One source of events.
#[derive(Debug)]
pub(crate) struct EventLog(HANDLE);

// SAFETY: the handle is one of the system's, which takes it in calls from any thread at once.
unsafe impl Send for EventLog {}
// SAFETY: as above.
unsafe impl Sync for EventLog {}

impl EventLog {
    /// The source of that name, whether it is registered or not.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn open(source: &str) -> io::Result<Self> {
        let source = wide(source);
        // SAFETY: the name ends with a zero and lives through the call; no server means this host.
        let handle = unsafe { RegisterEventSourceW(null(), source.as_ptr()) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(handle))
    }

    /// Writes an event. Nobody can be told where that fails: the log file has it too.
    pub(crate) fn report(&self, kind: Kind, text: &str) {
        let severity = match kind.severity {
            Severity::Error => EVENTLOG_ERROR_TYPE,
            Severity::Warning => EVENTLOG_WARNING_TYPE,
            Severity::Information => EVENTLOG_INFORMATION_TYPE,
        };
        let text: String = text.chars().take(MOST).collect();
        let text = wide(&text);
        let texts = [text.as_ptr()];
        // SAFETY: the handle is open as long as `self` lives; one text, which ends with a zero and
        // lives through the call, as the array does; no user and no data.
        unsafe {
            ReportEventW(
                self.0,
                severity,
                0,
                kind.id,
                null_mut(),
                1,
                0,
                texts.as_ptr(),
                null(),
            );
        }
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        // SAFETY: opened by us and closed once.
        unsafe { DeregisterEventSource(self.0) };
    }
}

/// Writes one event of that name. A host without a log has nobody who reads it.
pub(crate) fn tell(source: &str, event: &str, text: &str) {
    if let (Ok(log), Some(kind)) = (EventLog::open(source), kinds::of(event, Level::INFO)) {
        log.report(kind, text);
    }
}

/// Registers a source whose texts are in `program`.
///
/// # Errors
/// What the system said.
pub(crate) fn register(source: &str, program: &Path) -> io::Result<()> {
    // Every type of event that there is.
    const TYPES: u32 = 7;
    let made = LOCAL_MACHINE
        .create(format!(r"{SOURCES}\{source}"))
        .and_then(|key| {
            key.set_expand_string("EventMessageFile", program.to_string_lossy())?;
            key.set_u32("TypesSupported", TYPES)
        });
    registry_error::io(made)
}

/// Forgets a source. What it wrote stays.
///
/// # Errors
/// What the system said.
pub(crate) fn unregister(source: &str) -> io::Result<()> {
    let removed = LOCAL_MACHINE.remove_tree(format!(r"{SOURCES}\{source}"));
    match registry_error::io(removed) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn wide(text: &str) -> Vec<u16> {
    // A zero within it would end it.
    text.encode_utf16()
        .filter(|unit| *unit != 0)
        .chain([0])
        .collect()
}
