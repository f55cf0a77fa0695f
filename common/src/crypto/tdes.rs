//! Triple DES, one block at a time (SP 800-67r2, TDEA with keying option 1): what key wrap needs.

use std::fmt;

use des::TdesEde3;
use des::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::secret::locked::Locked;

/// Bytes of a block.
pub const BLOCK_LEN: usize = 8;
/// Bytes of a key, parity included.
pub const KEY_LEN: usize = 24;

/// Triple DES under one key, whose schedule is in locked memory and erased on drop.
#[derive(Clone)]
pub struct Tdes(Locked<TdesEde3>);

impl Tdes {
    /// The cipher under `key`. Its parity does not matter here, nor does its strength: keys are checked where they arise.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Locked::make(|| TdesEde3::new(key.into())))
    }

    /// Encrypts one block in place.
    pub fn encrypt(&self, block: &mut [u8; BLOCK_LEN]) {
        self.0.encrypt_block(block.into());
    }

    /// Decrypts one block in place.
    pub fn decrypt(&self, block: &mut [u8; BLOCK_LEN]) {
        self.0.decrypt_block(block.into());
    }
}

impl fmt::Debug for Tdes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tdes([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    const FILES: [(&str, &str); 8] = [
        ("TECBMMT1", include_str!("../../tests/vectors/TECBMMT1.rsp")),
        ("TECBMMT2", include_str!("../../tests/vectors/TECBMMT2.rsp")),
        ("TECBMMT3", include_str!("../../tests/vectors/TECBMMT3.rsp")),
        (
            "TECBinvperm",
            include_str!("../../tests/vectors/TECBinvperm.rsp"),
        ),
        (
            "TECBpermop",
            include_str!("../../tests/vectors/TECBpermop.rsp"),
        ),
        (
            "TECBsubtab",
            include_str!("../../tests/vectors/TECBsubtab.rsp"),
        ),
        (
            "TECBvarkey",
            include_str!("../../tests/vectors/TECBvarkey.rsp"),
        ),
        (
            "TECBvartext",
            include_str!("../../tests/vectors/TECBvartext.rsp"),
        ),
    ];

    /// Every NIST vector of TDES in ECB mode, each block encrypted and decrypted.
    #[test]
    fn nist_tdes_vectors() {
        let mut blocks = 0;
        for (name, file) in FILES {
            let mut key = Vec::new();
            let mut plaintext = Vec::new();
            let mut ciphertext = Vec::new();
            for line in file.lines().chain([""]) {
                if let Some((field, value)) = line.trim().split_once(" = ") {
                    let value = || HEXLOWER.decode(value.as_bytes()).unwrap();
                    match field {
                        "KEYs" => key = value().repeat(3),
                        "KEY1" => key = value(),
                        "KEY2" | "KEY3" => key.extend(value()),
                        "PLAINTEXT" => plaintext = value(),
                        "CIPHERTEXT" => ciphertext = value(),
                        _ => {}
                    }
                } else if !plaintext.is_empty() && !ciphertext.is_empty() {
                    let cipher = Tdes::new(key.as_slice().try_into().unwrap());
                    for (p, c) in plaintext
                        .chunks(BLOCK_LEN)
                        .zip(ciphertext.chunks(BLOCK_LEN))
                    {
                        let mut block: [u8; BLOCK_LEN] = p.try_into().unwrap();
                        cipher.encrypt(&mut block);
                        assert_eq!(block, *c, "{name}");
                        cipher.decrypt(&mut block);
                        assert_eq!(block, *p, "{name}");
                        blocks += 1;
                    }
                    plaintext.clear();
                    ciphertext.clear();
                }
            }
        }
        assert!(blocks > 500, "only {blocks} blocks were checked");
    }
}
