//! What a hostile directory, or a bad network, does.

use std::collections::VecDeque;

use ldap3_proto::proto::LdapResultCode;

use super::frame::Kind;

/// What is done in place of an honest answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trick {
    /// The request goes no further than here, and the connection ends.
    CutBeforeForwarding,
    /// The request is carried out, and the connection ends without an answer.
    CutBeforeAnswer,
    /// The request is carried out, and its answer comes when [`Quirks::release`] says so.
    ///
    /// [`Quirks::release`]: super::Quirks::release
    Late,
    /// This result is the answer, and nothing is carried out.
    Answer(LdapResultCode, String),
    /// The page ends with the cookie that asks for the first page, for ever.
    SameCookie,
    /// The page after the first is refused, as Windows does where it has dropped the cookie. It is
    /// played on the next request that has one.
    DroppedCookie,
    /// The page says that there are this many entries in all.
    Count(i64),
    /// The answer is 200,000 sequences, one in the other.
    Nested,
    /// The answer says that it has 2 GiB, and goes on and on.
    Endless,
    /// A notice of disconnection comes first, as Active Directory writes it: with its name outside
    /// of the response. Then the connection ends.
    Notice,
    /// The answer refers to another server.
    Referral(String),
    /// The answer's text is in Latin-1, which no message of LDAP may hold.
    Latin1,
    /// The answer is a sequence without anything in it.
    Empty,
}

/// The tricks that are still to be played.
#[derive(Debug, Default)]
pub(super) struct Tricks {
    waiting: VecDeque<(Kind, Trick)>,
    /// Played again and again.
    lasting: Vec<(Kind, Trick)>,
}

impl Tricks {
    pub(super) fn once(&mut self, kind: Kind, trick: Trick) {
        self.waiting.push_back((kind, trick));
    }

    pub(super) fn always(&mut self, kind: Kind, trick: Trick) {
        self.lasting.push((kind, trick));
    }

    pub(super) fn none(&mut self) {
        *self = Self::default();
    }

    /// The one for a request of this kind. `goes_on`: whether it asks for a further page.
    pub(super) fn next(&mut self, kind: Kind, goes_on: bool) -> Option<Trick> {
        let fits = |trick: &Trick| goes_on || *trick != Trick::DroppedCookie;
        let mut waiting = self.waiting.iter();
        let found = waiting.position(|(on, trick)| *on == kind && fits(trick));
        if let Some((_, trick)) = found.and_then(|at| self.waiting.remove(at)) {
            return Some(trick);
        }
        let lasting = self.lasting.iter().find(|(on, _)| *on == kind);
        lasting.map(|(_, trick)| trick.clone())
    }
}

/// Sequences one in the other, 200,000 deep, in a message that is whole.
pub(super) fn nested() -> Vec<u8> {
    const DEPTH: usize = 200_000;
    let mut bytes = Vec::new();
    // From the inside out; each head has four bytes of length.
    for depth in (0..DEPTH).rev() {
        let inner = (DEPTH - 1 - depth) * 6;
        bytes.extend([0x30, 0x84]);
        bytes.extend(u32::try_from(inner).unwrap_or(u32::MAX).to_be_bytes());
    }
    // What was written first is the innermost.
    let heads: Vec<_> = bytes.chunks(6).rev().flatten().copied().collect();
    heads
}

/// The head of a message of 2 GiB.
pub(super) const ENDLESS: [u8; 6] = [0x30, 0x84, 0x7f, 0xff, 0xff, 0xff];

/// A notice of disconnection (RFC 4511, section 4.4.1) as Active Directory writes it: the name is
/// no part of the response but stands after it.
pub(super) fn notice() -> Vec<u8> {
    const NAME: &[u8] = b"1.3.6.1.4.1.1466.20036";
    let response = [0x0a, 0x01, 0x34, 0x04, 0x00, 0x04, 0x00];
    let mut inner = vec![0x02, 0x01, 0x00, 0x78, response.len() as u8];
    inner.extend(response);
    inner.extend([0x8a, NAME.len() as u8]);
    inner.extend(NAME);
    let mut bytes = vec![0x30, inner.len() as u8];
    bytes.extend(inner);
    bytes
}

/// The answer to a request in Latin-1: a refusal for want of rights, `Zugriff verweigert für …`.
pub(super) fn latin1(id: i64, answer_tag: u8) -> Vec<u8> {
    const TEXT: &[u8] = b"00002098: verweigert f\xfcr dieses Objekt";
    let id = (id as u32).to_be_bytes();
    let mut response = vec![0x0a, 0x01, 0x32, 0x04, 0x00, 0x04, TEXT.len() as u8];
    response.extend(TEXT);
    let mut inner = vec![0x02, 0x04];
    inner.extend(id);
    inner.extend([answer_tag, response.len() as u8]);
    inner.extend(response);
    let mut bytes = vec![0x30, inner.len() as u8];
    bytes.extend(inner);
    bytes
}
