//! One connection between a server and whoever is, or claims to be, a gateway.

use std::collections::VecDeque;

use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{EnrolmentNonce, Scope};

use super::channel::{Flight, GatewayHandshake, ServerHandshake, Session};

/// What travels.
pub(super) enum Message {
    Flight(Flight),
    /// `Control.Enrol`, and its answer.
    AskNonce,
    Nonce(EnrolmentNonce),
    /// `Control.Install`, and its answer.
    Install {
        new: KeyId,
        replaced: KeyId,
        wrapped: Vec<u8>,
    },
    Installed,
    /// A provisioning call.
    Call,
}

/// Who is at the gateway's end.
#[derive(Clone, Copy)]
pub(super) enum Peer {
    Gateway,
    /// Uses what was stolen: an index into the world's loot.
    Thief(usize),
    /// Holds nothing, and asks to be paired under the gateway's name.
    Intruder,
}

pub(super) enum ServerEnd {
    Handshake {
        gateway_id: GatewayId,
        state: ServerHandshake,
    },
    Live {
        session: Session,
        scope: Scope,
        nonce: Option<EnrolmentNonce>,
    },
}

pub(super) enum GatewayEnd {
    Handshake(GatewayHandshake),
    Live { session: Session, enrolment: bool },
}

pub(super) struct Link {
    pub(super) server: usize,
    pub(super) gateway: usize,
    pub(super) peer: Peer,
    pub(super) server_end: Option<ServerEnd>,
    pub(super) gateway_end: Option<GatewayEnd>,
    pub(super) to_server: VecDeque<Message>,
    pub(super) to_gateway: VecDeque<Message>,
}

impl Link {
    /// Nobody is there any more.
    pub(super) fn is_dead(&self) -> bool {
        self.server_end.is_none() && self.gateway_end.is_none()
    }
}
