//! A session between a server and a gateway: what is sent comes in order, late, or never.

use super::database::{CallId, Instance};

/// Who may have calls carried out by a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) generation: u64,
    pub(super) epoch: u64,
    pub(super) instance: Instance,
}

impl Grant {
    pub(super) const fn height(&self) -> (u64, u64) {
        (self.generation, self.epoch)
    }
}

#[derive(Clone, Debug)]
pub(super) enum ToGateway {
    Grant(Grant),
    Ping,
    Open {
        call: CallId,
        subject: usize,
        not_after: u64,
    },
    Look {
        call: CallId,
    },
    Close,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ToServer {
    Up,
    Granted,
    /// This one is the highest.
    Refused(Grant),
    Clock(u64),
    Done(CallId),
    Late(CallId),
    Barred(CallId),
    /// What a look found; `false`: not begun, and barred from now on.
    Looked(CallId, bool),
    Closed,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) server: usize,
    /// Which start of the server.
    pub(super) run: u64,
    pub(super) gateway: usize,
    /// Which start of the gateway.
    pub(super) boot: u64,
    /// Open as the server sees it, and as the gateway does.
    pub(super) at_server: bool,
    pub(super) at_gateway: bool,
    /// What was granted in it, as the gateway has it.
    pub(super) grant: Option<Grant>,
    /// When what was sent last comes to the gateway, and to the server.
    pub(super) last: [u64; 2],
    /// Nothing comes after this moment.
    pub(super) cut: Option<u64>,
}
