//! What was sent that changes something: an interrupt, a lost connection or an answer that cannot
//! be written then means that nobody knows, and not that nothing has changed.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_proto::grpc::Watcher;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// The first words of the names of methods that change nothing. `Execute` is judged by its call.
const READS: [&str; 13] = [
    "List",
    "Show",
    "Status",
    "Ping",
    "Watch",
    "Verify",
    "Export",
    "Check",
    "Search",
    "Execute",
    "Compare",
    "Sync",
    "Authenticate",
];

/// Where the kernel says which signals this process ignores.
const STATUS: &str = "/proc/self/status";

/// Ctrl-C, SIGTERM and SIGHUP, which from here on end nothing by themselves.
#[derive(Debug)]
pub(crate) struct Interrupts {
    ctrl_c: Signal,
    terminate: Signal,
    /// The terminal or the connection is gone. The kernel and the shell both say so: the first time
    /// is an interrupt, and no further one is a second.
    hangup: Option<Signal>,
}

impl Interrupts {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            ctrl_c: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match ignores_hangups() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.ctrl_c.recv() => {}
            _ = self.terminate.recv() => {}
            () = first(&mut self.hangup) => {}
        }
    }
}

/// Waits for `signal`, once; without one for ever.
async fn first(signal: &mut Option<Signal>) {
    match signal {
        Some(waited) => {
            waited.recv().await;
            *signal = None;
        }
        None => std::future::pending().await,
    }
}

/// Whether whoever started this process had it ignore SIGHUP, as `nohup` does.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string(STATUS).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Bit 0 is signal 1.
    mask.is_some_and(|mask| mask & 1 != 0)
}

/// What this command has sent that changes something.
///
/// Until there is such a thing, signals end the process as they end any other: nobody who is asked
/// for a password has to wait.
#[derive(Clone, Default)]
pub(crate) struct Pending(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    sent: Notify,
}

#[derive(Default)]
struct State {
    /// The last method that changes something.
    method: Option<String>,
    call_id: Option<String>,
    interrupts: Option<Interrupts>,
    /// The verb looks after interrupts by itself.
    handled: bool,
    /// What is sent now is a dry run.
    dry: bool,
}

impl Pending {
    /// Notes each request that changes something, before it is sent.
    pub(crate) fn watcher(&self) -> Watcher {
        let pending = self.clone();
        Arc::new(move |path| {
            let method = path.rsplit('/').next().unwrap_or(path);
            if !READS.iter().any(|read| method.starts_with(read)) {
                pending.note(path.trim_start_matches("/portcullis.admin.v1."), None);
            }
        })
    }

    /// Notes that a call is sent that changes something.
    pub(crate) fn call(&self, call_id: &str) {
        self.note("Calls/Execute", Some(call_id));
    }

    /// Sends `request`, which changes nothing where it is a `dry` run, whatever its method.
    pub(crate) async fn dry<T>(&self, dry: bool, request: impl Future<Output = T>) -> T {
        self.lock().dry = dry;
        let answer = request.await;
        self.lock().dry = false;
        answer
    }

    /// What was sent last that changes something.
    pub(crate) fn method(&self) -> Option<String> {
        self.lock().method.clone()
    }

    /// The id of the call that was sent last, if one was.
    pub(crate) fn call_id(&self) -> Option<String> {
        self.lock().call_id.clone()
    }

    /// Ctrl-C, SIGTERM and SIGHUP, for a verb that brings its work to an end by itself.
    pub(crate) fn interrupts(&self) -> io::Result<Interrupts> {
        let mut state = self.lock();
        state.handled = true;
        state.interrupts = None;
        Interrupts::new()
    }

    /// Waits for an interrupt after something was sent that changes something.
    pub(crate) async fn interrupted(&self) {
        loop {
            let sent = self.0.sent.notified();
            let taken = self.lock().interrupts.take();
            match taken {
                Some(mut interrupts) => {
                    interrupts.next().await;
                    if !self.lock().handled {
                        return;
                    }
                }
                None => sent.await,
            }
        }
    }

    fn note(&self, method: &str, call_id: Option<&str>) {
        let mut state = self.lock();
        if state.dry {
            return;
        }
        let first = state.method.is_none();
        state.method = Some(method.to_owned());
        if let Some(id) = call_id {
            state.call_id = Some(id.to_owned());
        }
        if first && !state.handled {
            // Without signals this is a command like any other, which an interrupt just ends.
            state.interrupts = Interrupts::new().ok();
            self.0.sent.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dry_run_is_none_that_an_interrupt_leaves_unknown() {
        let pending = Pending::default();
        let send = pending.watcher();
        let manage = "/portcullis.admin.v1.Keys/Manage";
        pending.dry(true, async { send(manage) }).await;
        assert_eq!(pending.method(), None);
        pending.dry(false, async { send(manage) }).await;
        assert_eq!(pending.method().as_deref(), Some("Keys/Manage"));
    }
}
