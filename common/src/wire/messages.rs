//! The five handshake messages, and the one in place of the first between two servers.

use std::fmt;

use super::error::{DecodeError, MAX_NAME_LEN, VERSION};
use super::frame::{self, FrameError, FrameType};
use super::reader::Reader;
use crate::crypto::key_wrap::wrapped_len;
use crate::crypto::suites::Suite;
use crate::id::{GatewayId, KeyId, PeerEnds, PeerId, ServerId};

/// Bytes of either side's nonce.
pub const NONCE_LEN: usize = 32;
/// Bytes of an X25519 share.
pub const SHARE_LEN: usize = 32;
/// Bytes of a proof or MAC: they end messages 2, 3 and 4.
pub const MAC_LEN: usize = 32;
/// Suites that message 1 lists at most.
pub const MAX_SUITES: usize = 8;
/// Key ids that message 1 lists at most.
pub const MAX_KEY_IDS: usize = 64;

/// How a session is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Under the compiled-in default key, which is public: the first contact, while pairing is
    /// open.
    Default = 0,
    /// Under a key that only this gateway and the server hold.
    Secure = 1,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Secure => "secure",
        })
    }
}

/// Message 0: how a gateway that dialled out names itself, in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// By its id: it holds a key or a token.
    Id(GatewayId),
    /// By the name it was registered with (1 to 64 bytes of UTF-8): default mode, it has no id yet.
    Name(String),
}

impl Preamble {
    const KIND_ID: u8 = 1;
    const KIND_NAME: u8 = 2;

    /// The whole frame.
    ///
    /// # Errors
    /// [`DecodeError::Name`] where the name is not one that the peer would take.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        let id;
        let (kind, body) = match self {
            Self::Id(gateway_id) => {
                id = gateway_id.to_bytes();
                (Self::KIND_ID, id.as_slice())
            }
            Self::Name(name) => {
                check_name(name)?;
                (Self::KIND_NAME, name.as_bytes())
            }
        };
        let mut frame = frame::begin(FrameType::Message0, 1 + body.len());
        frame.push(kind);
        frame.extend_from_slice(body);
        Ok(frame)
    }

    /// Reads a whole frame.
    ///
    /// # Errors
    /// [`DecodeError`] where it is anything but message 0 in its one encoding.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let mut body = Reader::new(body_of(frame, FrameType::Message0, "message 0")?);
        match body.u8()? {
            Self::KIND_ID => {
                let id = GatewayId::from_array(body.array()?);
                body.finish()?;
                if id == GatewayId::NONE {
                    return Err(DecodeError::Contradiction);
                }
                Ok(Self::Id(id))
            }
            Self::KIND_NAME => {
                let name = str::from_utf8(body.rest()).map_err(|_| DecodeError::Name)?;
                check_name(name)?;
                Ok(Self::Name(name.to_owned()))
            }
            other => Err(DecodeError::PreambleKind(other)),
        }
    }
}

fn check_name(name: &str) -> Result<(), DecodeError> {
    if (1..=MAX_NAME_LEN).contains(&name.len()) && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(DecodeError::Name)
    }
}

/// Message 0 between two servers: which instance dials which, in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerPreamble(pub PeerEnds);

impl PeerPreamble {
    /// The whole frame.
    ///
    /// # Errors
    /// [`DecodeError::Contradiction`] where these are not two instances.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        let mut frame = frame::begin(FrameType::PeerMessage0, PeerEnds::LEN);
        frame.extend_from_slice(&self.check()?.to_bytes());
        Ok(frame)
    }

    /// Reads a whole frame.
    ///
    /// # Errors
    /// [`DecodeError`] where it is anything but this message in its one encoding.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let body = body_of(frame, FrameType::PeerMessage0, "message 0 of a server")?;
        let mut body = Reader::new(body);
        let ends = PeerEnds {
            dialler: PeerId::from_array(body.array()?),
            dialled: PeerId::from_array(body.array()?),
        };
        body.finish()?;
        let preamble = Self(ends);
        preamble.check()?;
        Ok(preamble)
    }

    fn check(&self) -> Result<PeerEnds, DecodeError> {
        let ends = self.0;
        ends.are_two()
            .then_some(ends)
            .ok_or(DecodeError::Contradiction)
    }
}

/// Message 1, server to gateway: what it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message1 {
    /// Its id.
    pub server_id: ServerId,
    /// Random, for this handshake alone.
    pub nonce: [u8; NONCE_LEN],
    /// Its X25519 share.
    pub share: [u8; SHARE_LEN],
    /// 1 to 8 suites, the preferred one first.
    pub suites: Vec<Suite>,
    /// Up to 64 keys that it accepts from this gateway, newest first; [`KeyId::DEFAULT`] last where
    /// default mode is open.
    pub key_ids: Vec<KeyId>,
}

impl Message1 {
    /// The whole frame.
    ///
    /// # Errors
    /// [`DecodeError`] where a list is not one that the peer would take.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        check_lists(&self.suites, &self.key_ids)?;
        let body_len = 1
            + ServerId::LEN
            + NONCE_LEN
            + SHARE_LEN
            + (1 + 2 * self.suites.len())
            + (1 + KeyId::LEN * self.key_ids.len());
        let mut frame = frame::begin(FrameType::Message1, body_len);
        frame.push(VERSION);
        frame.extend_from_slice(&self.server_id.to_bytes());
        frame.extend_from_slice(&self.nonce);
        frame.extend_from_slice(&self.share);
        frame.push(self.suites.len() as u8);
        for suite in &self.suites {
            frame.extend_from_slice(&suite.to_wire().to_be_bytes());
        }
        frame.push(self.key_ids.len() as u8);
        for key_id in &self.key_ids {
            frame.extend_from_slice(&key_id.to_bytes());
        }
        Ok(frame)
    }

    /// Reads a whole frame.
    ///
    /// # Errors
    /// [`DecodeError`] where it is anything but message 1 in its one encoding.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let mut body = Reader::new(body_of(frame, FrameType::Message1, "message 1")?);
        let version = body.u8()?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let server_id = ServerId::from_array(body.array()?);
        let nonce = body.array()?;
        let share = body.array()?;
        let suites = list(&mut body, MAX_SUITES, suite)?;
        let key_ids = list(&mut body, MAX_KEY_IDS, key_id)?;
        body.finish()?;
        check_lists(&suites, &key_ids)?;
        Ok(Self {
            server_id,
            nonce,
            share,
            suites,
            key_ids,
        })
    }
}

/// Message 2, gateway to server, without the proof that ends it: what it chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message2 {
    /// Its id; [`GatewayId::NONE`] in default mode, and there only.
    pub gateway_id: GatewayId,
    /// Random, for this handshake alone.
    pub nonce: [u8; NONCE_LEN],
    /// Its X25519 share.
    pub share: [u8; SHARE_LEN],
    /// How the session is to be authenticated.
    pub mode: Mode,
    /// The first of the server's keys that it holds; [`KeyId::DEFAULT`] in default mode, and there
    /// only.
    pub key_id: KeyId,
    /// The first of the server's suites that it allows.
    pub suite: Suite,
}

impl Message2 {
    const BODY_LEN: usize = GatewayId::LEN + NONCE_LEN + SHARE_LEN + 1 + KeyId::LEN + 2 + MAC_LEN;

    /// The whole frame. `proof` is given the frame up to the proof.
    pub fn encode(&self, proof: impl FnOnce(&[u8]) -> [u8; MAC_LEN]) -> Vec<u8> {
        let mut frame = frame::begin(FrameType::Message2, Self::BODY_LEN);
        frame.extend_from_slice(&self.gateway_id.to_bytes());
        frame.extend_from_slice(&self.nonce);
        frame.extend_from_slice(&self.share);
        frame.push(self.mode as u8);
        frame.extend_from_slice(&self.key_id.to_bytes());
        frame.extend_from_slice(&self.suite.to_wire().to_be_bytes());
        append_mac(frame, proof)
    }

    /// Reads a whole frame; gives the proof too, not verified.
    ///
    /// # Errors
    /// [`DecodeError`] where it is anything but message 2 in its one encoding.
    pub fn decode(frame: &[u8]) -> Result<(Self, [u8; MAC_LEN]), DecodeError> {
        let mut body = Reader::new(body_of(frame, FrameType::Message2, "message 2")?);
        let message = Self {
            gateway_id: GatewayId::from_array(body.array()?),
            nonce: body.array()?,
            share: body.array()?,
            mode: mode(body.u8()?)?,
            key_id: key_id(&mut body)?,
            suite: suite(&mut body)?,
        };
        let proof = body.array()?;
        body.finish()?;
        let default = message.mode == Mode::Default;
        if default != (message.gateway_id == GatewayId::NONE)
            || default != (message.key_id == KeyId::DEFAULT)
        {
            return Err(DecodeError::Contradiction);
        }
        Ok((message, proof))
    }
}

/// Message 3, server to gateway, without the MAC that ends it: the session key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message3 {
    /// The key under which the session key is wrapped: message 2's, or in default mode that of the
    /// key delivered.
    pub key_id: KeyId,
    /// The session key, of that key's kind, wrapped.
    pub wrapped_session_key: Vec<u8>,
    /// In default mode, and there only: the gateway's first master key.
    pub delivery: Option<WrappedDelivery>,
}

/// What message 3 of default mode delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedDelivery {
    /// The gateway's id from now on.
    pub gateway_id: GatewayId,
    /// Its master key, wrapped. Its kind is that of the message's key id.
    pub wrapped_master_key: Vec<u8>,
}

impl Message3 {
    /// The whole frame. `mac` is given the frame up to the MAC.
    pub fn encode(&self, mac: impl FnOnce(&[u8]) -> [u8; MAC_LEN]) -> Vec<u8> {
        let delivery_len = self.delivery.as_ref().map_or(0, |delivery| {
            GatewayId::LEN + 1 + delivery.wrapped_master_key.len()
        });
        let body_len = KeyId::LEN + 1 + self.wrapped_session_key.len() + delivery_len + MAC_LEN;
        let mut frame = frame::begin(FrameType::Message3, body_len);
        frame.extend_from_slice(&self.key_id.to_bytes());
        append_wrapped(&mut frame, &self.wrapped_session_key);
        if let Some(delivery) = &self.delivery {
            frame.extend_from_slice(&delivery.gateway_id.to_bytes());
            append_wrapped(&mut frame, &delivery.wrapped_master_key);
        }
        append_mac(frame, mac)
    }

    /// Reads a whole frame of a handshake in `mode`; gives the MAC too, not verified.
    ///
    /// # Errors
    /// [`DecodeError`] where it is anything but message 3 in its one encoding for that mode.
    pub fn decode(frame: &[u8], mode: Mode) -> Result<(Self, [u8; MAC_LEN]), DecodeError> {
        let mut body = Reader::new(body_of(frame, FrameType::Message3, "message 3")?);
        let key_id = key_id(&mut body)?;
        if key_id == KeyId::DEFAULT {
            return Err(DecodeError::Contradiction);
        }
        let wrapped_session_key = wrapped(&mut body, key_id)?;
        let delivery = match mode {
            Mode::Secure => None,
            Mode::Default => Some(WrappedDelivery {
                gateway_id: GatewayId::from_array(body.array()?),
                wrapped_master_key: wrapped(&mut body, key_id)?,
            }),
        };
        let mac = body.array()?;
        body.finish()?;
        if delivery
            .as_ref()
            .is_some_and(|delivery| delivery.gateway_id == GatewayId::NONE)
        {
            return Err(DecodeError::Contradiction);
        }
        let message = Self {
            key_id,
            wrapped_session_key,
            delivery,
        };
        Ok((message, mac))
    }
}

/// Message 4, gateway to server: a MAC over everything before it.
#[derive(Clone, Copy, Debug)]
pub struct Message4;

impl Message4 {
    /// The whole frame.
    pub fn encode(mac: [u8; MAC_LEN]) -> Vec<u8> {
        append_mac(frame::begin(FrameType::Message4, MAC_LEN), |_| mac)
    }

    /// Reads a whole frame; gives the MAC, not verified.
    ///
    /// # Errors
    /// [`DecodeError`] where it is anything but message 4.
    pub fn decode(frame: &[u8]) -> Result<[u8; MAC_LEN], DecodeError> {
        let mut body = Reader::new(body_of(frame, FrameType::Message4, "message 4")?);
        let mac = body.array()?;
        body.finish()?;
        Ok(mac)
    }
}

fn body_of<'a>(
    frame: &'a [u8],
    frame_type: FrameType,
    awaited: &'static str,
) -> Result<&'a [u8], DecodeError> {
    match frame::split(frame)? {
        (found, body) if found == frame_type => Ok(body),
        (found, _) => Err(FrameError::Unexpected { found, awaited }.into()),
    }
}

fn append_mac(mut frame: Vec<u8>, mac: impl FnOnce(&[u8]) -> [u8; MAC_LEN]) -> Vec<u8> {
    let mac = mac(&frame);
    frame.extend_from_slice(&mac);
    frame
}

fn append_wrapped(frame: &mut Vec<u8>, wrapped: &[u8]) {
    // A wrap is 28 to 40 bytes long.
    frame.push(wrapped.len() as u8);
    frame.extend_from_slice(wrapped);
}

/// A wrapped key whose kind, and that of the key around it, is the one that `key_id` names.
fn wrapped(body: &mut Reader<'_>, key_id: KeyId) -> Result<Vec<u8>, DecodeError> {
    let len = usize::from(body.u8()?);
    if len != wrapped_len(key_id.kind(), key_id.kind()) {
        return Err(DecodeError::WrappedLength);
    }
    body.slice(len).map(<[u8]>::to_vec)
}

fn mode(byte: u8) -> Result<Mode, DecodeError> {
    match byte {
        0 => Ok(Mode::Default),
        1 => Ok(Mode::Secure),
        other => Err(DecodeError::Mode(other)),
    }
}

fn suite(body: &mut Reader<'_>) -> Result<Suite, DecodeError> {
    let number = body.u16()?;
    Suite::from_wire(number).ok_or(DecodeError::Suite(number))
}

fn key_id(body: &mut Reader<'_>) -> Result<KeyId, DecodeError> {
    KeyId::from_bytes(&body.array::<{ KeyId::LEN }>()?).ok_or(DecodeError::KeyKind)
}

/// A list with its length in one byte, checked before anything is allocated.
fn list<T>(
    body: &mut Reader<'_>,
    max: usize,
    item: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let len = usize::from(body.u8()?);
    if len > max {
        return Err(DecodeError::ListLength);
    }
    (0..len).map(|_| item(body)).collect()
}

fn check_lists(suites: &[Suite], key_ids: &[KeyId]) -> Result<(), DecodeError> {
    if !(1..=MAX_SUITES).contains(&suites.len()) || key_ids.len() > MAX_KEY_IDS {
        return Err(DecodeError::ListLength);
    }
    if has_duplicates(suites) || has_duplicates(key_ids) {
        return Err(DecodeError::Duplicate);
    }
    match key_ids.iter().position(|id| *id == KeyId::DEFAULT) {
        Some(at) if at + 1 != key_ids.len() => Err(DecodeError::DefaultKeyNotLast),
        _ => Ok(()),
    }
}

/// Quadratic, over at most 64 items.
fn has_duplicates<T: PartialEq>(items: &[T]) -> bool {
    items
        .iter()
        .enumerate()
        .any(|(at, item)| items[..at].contains(item))
}

#[cfg(test)]
mod tests;
