//! What a service tells the manager that started it: the protocol of sd_notify(3).
//!
//! A datagram of lines `NAME=VALUE` goes to the socket in `$NOTIFY_SOCKET`. Where no manager asked
//! for it, nothing is sent.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A manager that does not read keeps nobody waiting longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Beats in the time after which the manager takes the service for dead: one may come late.
const BEATS: u32 = 3;

/// The manager that started this program, if one did that wants to know.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<SocketAddr>,
    beat: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment names (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub fn from_env() -> Self {
        let value = |name| std::env::var_os(name);
        Self::new(
            value("NOTIFY_SOCKET").as_deref(),
            value("WATCHDOG_USEC").as_deref(),
            value("WATCHDOG_PID").as_deref(),
        )
    }

    fn new(socket: Option<&OsStr>, watchdog: Option<&OsStr>, process: Option<&OsStr>) -> Self {
        let number = |text: Option<&OsStr>| text?.to_str()?.parse::<u64>().ok();
        let socket = socket.and_then(|name| {
            address(name)
                .inspect_err(|error| {
                    tracing::warn!("NOTIFY_SOCKET names no socket, so the service manager is told nothing: {error}");
                })
                .ok()
        });
        // The variables may have been inherited from a service that watches itself.
        let ours = process.is_none() || number(process) == Some(u64::from(std::process::id()));
        let beat = number(watchdog)
            .filter(|_| ours && socket.is_some())
            .map(|usec| Duration::from_micros(usec) / BEATS);
        Self {
            socket,
            beat: beat.filter(|beat| !beat.is_zero()),
        }
    }

    /// How often [`Self::alive`] is to be called; `None`: nobody watches.
    pub const fn beat(&self) -> Option<Duration> {
        self.beat
    }

    /// The service does its work, or does it again after [`Self::reloading`].
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// How it is, in words; nothing: there is nothing to say.
    pub fn status(&self, what: &str) {
        // A line of its own would be another variable.
        let what = what.replace(char::is_control, " ");
        self.tell(&format!("STATUS={what}"));
    }

    /// The configuration is being read again.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let micros = u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000;
        let usec = seconds.saturating_mul(1_000_000).saturating_add(micros);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// The service is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The service lives. Without this for three [`beat`](Self::beat)s the manager ends it.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, state: &str) {
        let Some(socket) = &self.socket else {
            return;
        };
        let sent = UnixDatagram::unbound().and_then(|datagram| {
            datagram.set_write_timeout(Some(PATIENCE))?;
            datagram.send_to_addr(state.as_bytes(), socket)
        });
        if let Err(error) = sent {
            tracing::warn!("cannot tell the service manager {state:?}: {error}");
        }
    }
}

/// A path, or behind `@` a name in the kernel's own namespace.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_is_told_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("portcullis-test-{}", std::process::id());
        let by_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, address) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&by_name).unwrap(),
                format!("@{name}").into(),
            ),
        ] {
            let manager = ServiceManager::new(Some(&address), None, None);
            manager.ready();
            assert_eq!(received(&socket), "READY=1");
            manager.alive();
            assert_eq!(received(&socket), "WATCHDOG=1");
            manager.reloading();
            let told = received(&socket);
            let usec = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(usec.parse::<u64>().unwrap() > 0, "{told}");
            manager.status("waits\nREADY=1");
            assert_eq!(received(&socket), "STATUS=waits READY=1");
        }
    }

    #[test]
    fn a_watchdog_is_fed_three_times_in_its_time_by_the_process_that_it_watches() {
        let beat = |socket: Option<&str>, usec: &str, process: Option<&str>| {
            ServiceManager::new(
                socket.map(OsStr::new),
                Some(OsStr::new(usec)),
                process.map(OsStr::new),
            )
            .beat()
        };
        let own = std::process::id().to_string();
        let twenty = Some(Duration::from_secs(20));
        assert_eq!(beat(Some("/run/notify"), "60000000", None), twenty);
        assert_eq!(beat(Some("/run/notify"), "60000000", Some(&own)), twenty);
        assert_eq!(beat(Some("/run/notify"), "60000000", Some("0")), None);
        assert_eq!(beat(Some("/run/notify"), "soon", None), None);
        assert_eq!(beat(Some("/run/notify"), "0", None), None);
        assert_eq!(beat(None, "60000000", None), None);
    }

    #[test]
    fn without_a_manager_nothing_is_sent() {
        ServiceManager::default().ready();
        // One that is gone is a warning in the log.
        let gone = OsStr::new("/nonexistent/notify");
        ServiceManager::new(Some(gone), None, None).stopping();
    }
}
