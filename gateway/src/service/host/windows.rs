//! What running a program on Windows takes.

use std::io;
use std::time::Duration;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};
use tokio::sync::mpsc;

use super::reporter::{Phase, Reporter};

/// The console events that tell the program to stop.
#[derive(Debug)]
pub(super) struct StopSignal {
    interrupt: CtrlC,
    break_key: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl StopSignal {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            break_key: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    pub(super) async fn received(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.break_key.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}

/// What asks to read the configuration again: a service is told by its manager (`sc control NAME
/// paramchange`). In a console nothing does; `portcullis-gateway reload` asks by a file,
/// everywhere.
#[derive(Debug)]
pub(in crate::service) struct Hangups(Option<mpsc::Receiver<()>>);

impl Hangups {
    #[allow(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(None))
    }

    /// Each message asks.
    pub(in crate::service) const fn from_manager(asked: mpsc::Receiver<()>) -> Self {
        Self(Some(asked))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        if let Some(asked) = &mut self.0
            && asked.recv().await.is_some()
        {
            return;
        }
        // No more can come.
        std::future::pending().await
    }
}

/// Windows writes no memory image of a program unless an administrator asked for it by name.
pub(super) fn disable_core_dumps() -> io::Result<()> {
    Ok(())
}

/// Administrators are not told apart.
pub(super) const fn is_root() -> bool {
    false
}

/// This host's name.
pub(super) fn name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// What the manager of services is told; in a console there is none.
#[derive(Debug)]
pub(in crate::service) struct ServiceManager(Option<Reporter>);

impl ServiceManager {
    pub(in crate::service) const fn from_env() -> Self {
        Self(None)
    }

    /// The one that started this program.
    pub(in crate::service) const fn of(reporter: Reporter) -> Self {
        Self(Some(reporter))
    }

    /// It wants no sign of life: a process that ends is restarted.
    pub(in crate::service) const fn beat(&self) -> Option<Duration> {
        None
    }

    pub(in crate::service) fn ready(&self) {
        if let Self(Some(reporter)) = self {
            reporter.report(Phase::Running);
        }
    }

    pub(in crate::service) fn reloading(&self) {}

    pub(in crate::service) fn stopping(&self) {
        if let Self(Some(reporter)) = self {
            reporter.report(Phase::Stopping);
        }
    }

    pub(in crate::service) fn alive(&self) {}
}

/// The command that shows who listens on a port.
pub(super) fn show_listener(port: u16) -> String {
    format!("netstat -ano | findstr :{port}")
}
