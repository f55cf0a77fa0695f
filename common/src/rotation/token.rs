//! The enrolment token: a one-time printable credential for one gateway.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::id::{GatewayId, KeyId, KeyKind};
use crate::secret::MasterKey;

const PREFIX: &str = "PCT1-";
const CHECKSUM_LEN: usize = 4;
/// Longer than any token: what is longer is not decoded.
const MAX_TEXT_LEN: usize = 160;

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin with the prefix.
    #[error(
        "no enrolment token: one begins with {PREFIX} (give the whole line that `portcullis gateway add` printed)"
    )]
    Prefix,
    /// Characters are missing, added or mistyped.
    #[error(
        "the enrolment token is damaged (its checksum does not fit): copy the whole line again"
    )]
    Damaged,
}

/// A one-time credential for one gateway: its id, the enrolment key and that key's id.
///
/// Printed as `PCT1-` and base32 of gateway id (16) ‖ key id (17) ‖ key (24 or 32) ‖ the first 4
/// bytes of the SHA-256 over what stands before them. White space and hyphens after the prefix, and
/// the letters' case, do not count.
#[derive(Clone)]
pub struct EnrolmentToken {
    gateway_id: GatewayId,
    key_id: KeyId,
    key: MasterKey,
}

impl EnrolmentToken {
    /// A fresh token for `gateway_id`: a random key, unrelated to any other.
    pub fn random(gateway_id: GatewayId, kind: KeyKind, rng: &mut impl CryptoRng) -> Self {
        Self {
            gateway_id,
            key_id: KeyId::random(kind, rng),
            key: MasterKey::random(kind, rng),
        }
    }

    /// The gateway that it is for.
    pub const fn gateway_id(&self) -> GatewayId {
        self.gateway_id
    }

    /// The id of the enrolment key.
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The enrolment key, which takes the master key's place until the first is installed.
    pub const fn key(&self) -> &MasterKey {
        &self.key
    }

    /// The printable form: a secret, to be shown once.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(80));
        bytes.extend_from_slice(&self.gateway_id.to_bytes());
        bytes.extend_from_slice(&self.key_id.to_bytes());
        bytes.extend_from_slice(self.key.expose());
        let digest = Sha256::digest(bytes.as_slice());
        bytes.extend_from_slice(&digest[..CHECKSUM_LEN]);
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT_LEN));
        text.push_str(PREFIX);
        BASE32_NOPAD.encode_append(&bytes, &mut text);
        text
    }
}

impl FromStr for EnrolmentToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let body = text
            .get(..PREFIX.len())
            .filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
            .and_then(|_| text.get(PREFIX.len()..))
            .ok_or(TokenError::Prefix)?;
        if body.len() > MAX_TEXT_LEN {
            return Err(TokenError::Damaged);
        }
        let mut letters = Zeroizing::new(Vec::with_capacity(MAX_TEXT_LEN));
        letters.extend(
            body.bytes()
                .filter(|b| !b.is_ascii_whitespace() && *b != b'-')
                .map(|b| b.to_ascii_uppercase()),
        );
        let bytes = BASE32_NOPAD
            .decode(&letters)
            .map(Zeroizing::new)
            .map_err(|_| TokenError::Damaged)?;
        parse(&bytes).ok_or(TokenError::Damaged)
    }
}

fn parse(bytes: &[u8]) -> Option<EnrolmentToken> {
    let (content, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_LEN)?)?;
    if !Sha256::digest(content).starts_with(checksum) {
        return None;
    }
    let (gateway_id, rest) = content.split_at_checked(GatewayId::LEN)?;
    let (key_id, key) = rest.split_at_checked(KeyId::LEN)?;
    let key_id = KeyId::from_bytes(key_id)?;
    let key = MasterKey::from_bytes(key_id.kind(), key).ok()?;
    let gateway_id = GatewayId::from_bytes(gateway_id)?;
    if gateway_id == GatewayId::NONE || key_id == KeyId::DEFAULT {
        return None;
    }
    Some(EnrolmentToken {
        gateway_id,
        key_id,
        key,
    })
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EnrolmentToken({}, {}, [redacted])",
            self.gateway_id, self.key_id
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_print_and_retyping() {
        for kind in [KeyKind::Tdes, KeyKind::Aes256] {
            let token =
                EnrolmentToken::random(GatewayId::random(&mut rand::rng()), kind, &mut rand::rng());
            let text = token.to_text();
            let (head, tail) = text.split_at(40);
            for typed in [
                text.to_string(),
                text.to_lowercase(),
                format!("  {head}\n{tail}\n"),
            ] {
                let read: EnrolmentToken = typed.parse().unwrap();
                assert_eq!(read.gateway_id(), token.gateway_id());
                assert_eq!(read.key_id(), token.key_id());
                assert_eq!(read.key().expose(), token.key().expose());
            }
        }
    }

    #[test]
    fn every_mistyped_or_missing_letter_is_noticed() {
        let token = EnrolmentToken::random(
            GatewayId::random(&mut rand::rng()),
            KeyKind::Tdes,
            &mut rand::rng(),
        );
        let text = token.to_text();
        for at in 0..text.len() {
            let mut changed = text.to_string();
            let other = if changed.as_bytes()[at] == b'Q' {
                "R"
            } else {
                "Q"
            };
            changed.replace_range(at..=at, other);
            assert!(changed.parse::<EnrolmentToken>().is_err(), "letter {at}");
            assert!(text[..at].parse::<EnrolmentToken>().is_err(), "cut at {at}");
        }
        assert_eq!(
            "".parse::<EnrolmentToken>().unwrap_err(),
            TokenError::Prefix
        );
        assert!("A".repeat(100_000).parse::<EnrolmentToken>().is_err());
    }

    /// With a checksum that fits: another program may have made it.
    #[test]
    fn a_token_for_no_gateway_or_under_the_default_keys_id_is_refused() {
        let rng = &mut rand::rng();
        let token = EnrolmentToken::random(GatewayId::random(rng), KeyKind::Tdes, rng);
        for (gateway_id, key_id) in [
            (GatewayId::NONE, token.key_id()),
            (token.gateway_id(), KeyId::DEFAULT),
        ] {
            let forged = EnrolmentToken {
                gateway_id,
                key_id,
                key: token.key().clone(),
            };
            let read = forged.to_text().parse::<EnrolmentToken>();
            assert_eq!(read.unwrap_err(), TokenError::Damaged);
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let token = EnrolmentToken::random(
            GatewayId::random(&mut rand::rng()),
            KeyKind::Tdes,
            &mut rand::rng(),
        );
        assert!(format!("{token:?}").ends_with("[redacted])"));
    }
}
