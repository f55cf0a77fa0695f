//! Derivations: HKDF-SHA256 (RFC 5869) with one labelled `info` per purpose (PROTOCOL.md,
//! "Derivations").

use super::mac::{self, Prf};
use super::suites::Suite;
use crate::id::{GatewayId, KeyKind, PeerEnds};
use crate::secret::locked::LockedBytes;
use crate::secret::{GatewayKey, KeyBytes, MasterKey, PeerKey, stack};

/// Bytes of a pseudorandom key: what HKDF-Extract gives and HKDF-Expand takes.
pub const PRK_LEN: usize = 32;

const PREFIX: &[u8] = b"portcullis v1 ";

/// What a derived value is for. Each has a label of its own, so no value ever serves two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Gateway key to the master key of one gateway.
    Diversify,
    /// Master key to the key of the gateway's proof in message 2.
    GatewayProof,
    /// Master key to the key of the server's MAC in message 3.
    ServerProof,
    /// Master key to the key that wraps the session key in message 3.
    SessionKek,
    /// Default key and X25519 secret to the key that wraps the master key in message 3.
    PairingKek,
    /// Peer key to the master key of one link between two servers.
    PeerLink,
    /// In a peer link: master key to the key of the proof of the dialled server in message 2.
    DialledProof,
    /// In a peer link: master key to the key of the MAC of the server that dialled in message 3.
    DiallerProof,
    /// In a peer link: master key to the key that wraps the session key in message 3.
    PeerSessionKek,
    /// Root to the key of the MAC in message 4.
    Finished,
    /// Root to the first traffic secret of the direction server to gateway.
    ServerToGateway,
    /// Root to the first traffic secret of the direction gateway to server.
    GatewayToServer,
    /// Root to the secret under which installs are wrapped.
    InstallSecret,
    /// Root to the secret under which values in calls are sealed.
    ExporterSecret,
    /// Root to the name of the session in logs.
    SessionId,
    /// Install secret to the key that wraps one new master key.
    InstallKek,
    /// Exporter secret to the key of the cipher of one value in a call.
    CallValueKey,
    /// Exporter secret to the key of the MAC of one value in a call (3DES suite).
    CallValueMacKey,
    /// Traffic secret to the key of the cipher.
    TrafficKey,
    /// Traffic secret to the key of the record MAC (3DES suite).
    TrafficMacKey,
    /// Traffic secret to the initialization vector (AES suite).
    TrafficIv,
    /// Traffic secret to that of the next epoch.
    NextTrafficSecret,
    /// Storage secret to the key that wraps one server key.
    StorageKek,
    /// Storage secret to the key of the MAC over a wrapped server key.
    StorageMacKey,
    /// Server key to the key of the cipher of one sealed value.
    SealedValueKey,
    /// Server key to the key of the MAC of one sealed value.
    SealedValueMacKey,
    /// Default key to the storage secret of a repository without protection.
    DefaultStorageSecret,
    /// Default key to the export secret of an export without protection.
    DefaultExportSecret,
    /// Export secret to the key that wraps one exported key.
    ExportKek,
    /// Export secret to the key of the MAC over an export.
    ExportMacKey,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 30] = [
        Self::Diversify,
        Self::GatewayProof,
        Self::ServerProof,
        Self::SessionKek,
        Self::PairingKek,
        Self::PeerLink,
        Self::DialledProof,
        Self::DiallerProof,
        Self::PeerSessionKek,
        Self::Finished,
        Self::ServerToGateway,
        Self::GatewayToServer,
        Self::InstallSecret,
        Self::ExporterSecret,
        Self::SessionId,
        Self::InstallKek,
        Self::CallValueKey,
        Self::CallValueMacKey,
        Self::TrafficKey,
        Self::TrafficMacKey,
        Self::TrafficIv,
        Self::NextTrafficSecret,
        Self::StorageKek,
        Self::StorageMacKey,
        Self::SealedValueKey,
        Self::SealedValueMacKey,
        Self::DefaultStorageSecret,
        Self::DefaultExportSecret,
        Self::ExportKek,
        Self::ExportMacKey,
    ];

    /// Its word in the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Diversify => "diversify",
            Self::GatewayProof => "gateway proof",
            Self::ServerProof => "server proof",
            Self::SessionKek => "session kek",
            Self::PairingKek => "pairing kek",
            Self::PeerLink => "peer link",
            Self::DialledProof => "dialled proof",
            Self::DiallerProof => "dialler proof",
            Self::PeerSessionKek => "peer session kek",
            Self::Finished => "finished",
            Self::ServerToGateway => "server to gateway",
            Self::GatewayToServer => "gateway to server",
            Self::InstallSecret => "install secret",
            Self::ExporterSecret => "exporter secret",
            Self::SessionId => "session id",
            Self::InstallKek => "install",
            Self::CallValueKey => "call value key",
            Self::CallValueMacKey => "call value mac key",
            Self::TrafficKey => "key",
            Self::TrafficMacKey => "mac key",
            Self::TrafficIv => "iv",
            Self::NextTrafficSecret => "next",
            Self::StorageKek => "storage kek",
            Self::StorageMacKey => "storage mac key",
            Self::SealedValueKey => "sealed value key",
            Self::SealedValueMacKey => "sealed value mac key",
            Self::DefaultStorageSecret => "default storage",
            Self::DefaultExportSecret => "default export secret",
            Self::ExportKek => "export kek",
            Self::ExportMacKey => "export mac key",
        }
    }
}

/// A label: `portcullis v1 `, the purpose, a space, the kind's name, and where there is a suite, a
/// space and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// What the value is for.
    pub purpose: Purpose,
    /// The kind of the master key (or gateway key) at the bottom of the derivation.
    pub kind: KeyKind,
    /// The suite: for everything derived from a root or below.
    pub suite: Option<Suite>,
}

impl Label {
    fn to_bytes(self) -> Vec<u8> {
        let mut label = PREFIX.to_vec();
        label.extend_from_slice(self.purpose.as_str().as_bytes());
        label.push(b' ');
        label.extend_from_slice(self.kind.name().as_bytes());
        if let Some(suite) = self.suite {
            label.push(b' ');
            label.extend_from_slice(suite.name().as_bytes());
        }
        label
    }
}

/// HKDF-Extract (RFC 5869, 2.2). `ikm` is the concatenation of its parts; a salt of 32 zero bytes
/// is that of "not provided".
pub fn extract(salt: &[u8; PRK_LEN], ikm: &[&[u8]]) -> LockedBytes<PRK_LEN> {
    let mut prk = LockedBytes::zeroed();
    stack::wiped(|| mac::hmac_sha256(salt, ikm, &mut prk));
    prk
}

/// HKDF-Extract without a salt.
pub fn extract_unsalted(ikm: &[&[u8]]) -> LockedBytes<PRK_LEN> {
    extract(&[0; PRK_LEN], ikm)
}

/// HKDF-Expand with the labelled `info`: output length (u16), label with its length (u8), context
/// with its length (u8).
pub(crate) fn expand_label<const N: usize, const C: usize>(
    secret: &impl Prf,
    label: Label,
    context: &[u8; C],
) -> LockedBytes<N> {
    const { assert!(N <= 255 * PRK_LEN, "longer than HKDF gives") };
    const {
        assert!(
            C < 255,
            "a context's length, with an attempt byte, fits into one byte"
        )
    };
    let mut out = LockedBytes::zeroed();
    stack::wiped(|| expand(secret, &info(N, label, &[context]), &mut *out));
    out
}

/// As [`expand_label`], for a key of `kind`. A 3DES key gets odd parity; where it is refused as
/// weak, the derivation is repeated with an attempt byte 1, 2, … after the context.
pub(crate) fn derive_key<const C: usize>(
    kind: KeyKind,
    secret: &impl Prf,
    label: Label,
    context: &[u8; C],
) -> KeyBytes {
    const {
        assert!(
            C < 255,
            "a context's length, with an attempt byte, fits into one byte"
        )
    };
    let len = kind.key_len();
    let mut attempt = 0_u8;
    loop {
        let attempt_byte = [attempt];
        let context: &[&[u8]] = if attempt == 0 {
            &[context]
        } else {
            &[context, &attempt_byte]
        };
        let info = info(len, label, context);
        let fill = |bytes: &mut [u8]| stack::wiped(|| expand(secret, &info, bytes));
        // Refused once in 2^50 or so.
        if let Ok(key) = KeyBytes::made(kind, fill) {
            return key;
        }
        attempt = attempt.wrapping_add(1);
    }
}

/// The master key of one gateway: KDF(gateway key, gateway id). Of the gateway key's kind.
pub fn diversify(gateway_key: &GatewayKey, gateway_id: GatewayId) -> MasterKey {
    let (kind, secret) = (gateway_key.kind(), gateway_key.expose());
    diversified(kind, secret, Purpose::Diversify, &gateway_id.to_bytes())
}

/// The master key of one link between two servers: KDF(peer key, instance that dialled, instance
/// that was dialled). Of the peer key's kind.
pub(crate) fn diversify_for_peers(peer_key: &PeerKey, ends: &PeerEnds) -> MasterKey {
    let (kind, secret) = (peer_key.kind(), peer_key.expose());
    diversified(kind, secret, Purpose::PeerLink, &ends.to_bytes())
}

fn diversified<const C: usize>(
    kind: KeyKind,
    secret: &[u8],
    purpose: Purpose,
    whose: &[u8; C],
) -> MasterKey {
    let label = Label {
        purpose,
        kind,
        suite: None,
    };
    MasterKey(derive_key(kind, &extract_unsalted(&[secret]), label, whose))
}

/// The lengths fit by the callers' bounds on `N` and `C`, and because no label is longer than 64
/// bytes.
fn info(output_len: usize, label: Label, context: &[&[u8]]) -> Vec<u8> {
    let label = label.to_bytes();
    let context_len: usize = context.iter().map(|part| part.len()).sum();
    let mut info = Vec::with_capacity(4 + label.len() + context_len);
    info.extend_from_slice(&(output_len as u16).to_be_bytes());
    info.push(label.len() as u8);
    info.extend_from_slice(&label);
    info.push(context_len as u8);
    for part in context {
        info.extend_from_slice(part);
    }
    info
}

/// HKDF-Expand (RFC 5869, 2.3). `out` is at most 255 blocks.
pub(super) fn expand(prk: &impl Prf, info: &[u8], out: &mut [u8]) {
    let mut block = LockedBytes::<PRK_LEN>::zeroed();
    let mut next = LockedBytes::<PRK_LEN>::zeroed();
    for (chunk, counter) in out.chunks_mut(PRK_LEN).zip(1_u8..=255) {
        let earlier: &[u8] = if counter == 1 { &[] } else { &*block };
        prk.prf(&[earlier, info, &[counter]], &mut next);
        chunk.copy_from_slice(&next[..chunk.len()]);
        std::mem::swap(&mut block, &mut next);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use data_encoding::HEXLOWER;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    /// RFC 5869, appendix A: SHA-256, cases 1 to 3.
    #[test]
    fn rfc_5869_vectors() {
        let cases = [
            (
                "0b".repeat(22),
                "000102030405060708090a0b0c".to_owned(),
                "f0f1f2f3f4f5f6f7f8f9".to_owned(),
                "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            ),
            (
                (0..80).map(|i| format!("{i:02x}")).collect(),
                String::new(),
                (0xb0..=0xff).map(|i| format!("{i:02x}")).collect(),
                "",
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
            ),
            (
                "0b".repeat(22),
                String::new(),
                String::new(),
                "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            ),
        ];
        for (number, (ikm, salt, info, prk, okm)) in cases.iter().enumerate() {
            let mut salt_block = [0; PRK_LEN];
            // Case 2 has a salt longer than a pseudorandom key, which is the only size this takes:
            // its hash input differs, so there only the expansion is checked, from the pseudorandom
            // key that the RFC gives.
            let actual = if number == 1 {
                hex("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244")
                    .try_into()
                    .unwrap()
            } else {
                let salt = hex(salt);
                salt_block[..salt.len()].copy_from_slice(&salt);
                let actual = extract(&salt_block, &[&hex(ikm)]);
                assert_eq!(HEXLOWER.encode(&*actual), *prk, "case {}", number + 1);
                *actual
            };
            let mut out = vec![0; okm.len() / 2];
            expand(&actual, &hex(info), &mut out);
            assert_eq!(HEXLOWER.encode(&out), *okm, "case {}", number + 1);
        }
    }

    #[test]
    fn every_purpose_kind_and_suite_has_a_label_of_its_own_that_fits() {
        let mut seen = HashSet::new();
        for purpose in Purpose::ALL {
            for kind in [KeyKind::Tdes, KeyKind::Aes256] {
                for suite in [None, Some(Suite::TdesCtrHmacSha256), Some(Suite::Aes256Gcm)] {
                    let label = Label {
                        purpose,
                        kind,
                        suite,
                    }
                    .to_bytes();
                    assert!(label.len() <= 64, "{label:?}");
                    assert!(seen.insert(label));
                }
            }
        }
    }

    #[test]
    fn other_gateways_keys_and_lengths_give_other_master_keys() {
        let rng = &mut rand::rng();
        for kind in [KeyKind::Tdes, KeyKind::Aes256] {
            let gateway_key = GatewayKey::random(kind, rng);
            let (a, b) = (GatewayId::random(rng), GatewayId::random(rng));
            let key = diversify(&gateway_key, a);
            assert_eq!(key.kind(), kind);
            assert_eq!(key.expose(), diversify(&gateway_key, a).expose());
            assert_ne!(key.expose(), diversify(&gateway_key, b).expose());
            assert_ne!(
                key.expose(),
                diversify(&GatewayKey::random(kind, rng), a).expose()
            );
        }
        let label = Label {
            purpose: Purpose::SessionId,
            kind: KeyKind::Tdes,
            suite: None,
        };
        let short: LockedBytes<8> = expand_label(&[1; 32], label, &[]);
        let long: LockedBytes<16> = expand_label(&[1; 32], label, &[]);
        assert_ne!(*short, long[..8], "the length is part of the derivation");
    }
}
