//! What running a program on Windows takes.

use std::io;
use std::time::Duration;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

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

/// Windows has no signal that asks to read the configuration again: `portcullis-gateway reload`
/// does, by a file.
#[derive(Debug)]
pub(super) struct Hangups;

impl Hangups {
    #[allow(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for ever.
    pub(super) async fn next(&mut self) {
        std::future::pending().await
    }
}

/// Windows writes no memory image of a program unless an administrator asked for it by name.
pub(super) fn disable_core_dumps() -> io::Result<()> {
    Ok(())
}

/// This host's name.
pub(super) fn name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// There is no service manager that wants to be told by the program itself.
#[derive(Debug)]
pub(in crate::service) struct ServiceManager;

impl ServiceManager {
    pub(in crate::service) const fn from_env() -> Self {
        Self
    }

    pub(in crate::service) const fn beat(&self) -> Option<Duration> {
        None
    }

    pub(in crate::service) fn ready(&self) {}

    pub(in crate::service) fn reloading(&self) {}

    pub(in crate::service) fn stopping(&self) {}

    pub(in crate::service) fn alive(&self) {}
}

/// The command that shows who listens on a port.
pub(super) fn show_listener(port: u16) -> String {
    format!("netstat -ano | findstr :{port}")
}
