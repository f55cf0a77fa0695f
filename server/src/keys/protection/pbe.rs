//! Password-based encryption of a 32-byte secret: PBES2 of PKCS #5 (RFC 8018, 6.2) with
//! PBKDF2-HMAC-SHA-256 or scrypt, and AES-256-CBC. What is stored is the DER of `SEQUENCE {
//! AlgorithmIdentifier, OCTET STRING }`, as in an `EncryptedPrivateKeyInfo`.
//!
//! A padding of a whole block stands after the secret: that it is right by chance, under a wrong
//! passphrase, has a probability of 2^-128.

use std::fmt;

use der::asn1::OctetStringRef;
use der::{Decode, DecodeValue, Encode, EncodeValue, Header, Length, Reader, Sequence, Writer};
use pkcs5::EncryptionScheme;
use pkcs5::pbes2::{self, Parameters, Pbkdf2Params, Pbkdf2Prf, ScryptParams};
use portcullis_common::secret::locked::LockedBytes;
use portcullis_common::secret::stack;
use rand::CryptoRng;
use zeroize::Zeroizing;

/// Bytes of what is encrypted.
pub const SECRET_LEN: usize = 32;
/// With its padding.
const ENCRYPTED_LEN: usize = SECRET_LEN + 16;
/// Longer than any of ours.
const MAX_DER_LEN: usize = 512;
const SALT_LEN: usize = 16;

/// What others may make us spend before a passphrase is known to be right.
const MAX_ITERATIONS: u32 = 10_000_000;
const MAX_SCRYPT_MEMORY: u64 = 1 << 30;
const MAX_SCRYPT_PARALLEL: u16 = 16;

/// Why nothing was encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PbeError {
    /// Not the DER that is expected.
    #[error("it is no PBES2 encryption in DER")]
    Malformed,
    /// The same could be said in other bytes, and only one form is taken.
    #[error("it is PBES2 encryption in another form than the one that is written here")]
    OtherForm,
    /// Other algorithms than the two of this version.
    #[error("it is not encrypted by AES-256-CBC under PBKDF2-HMAC-SHA-256 or scrypt")]
    Unsupported,
    /// Deriving would take too long, or too much memory.
    #[error(
        "its cost is beyond what this version accepts ({MAX_ITERATIONS} iterations, or 1 GiB and {MAX_SCRYPT_PARALLEL} lanes)"
    )]
    TooCostly,
    /// The passphrase is another, or the ciphertext was changed.
    #[error("the passphrase does not open it")]
    WrongPassphrase,
}

/// How a key is derived from a passphrase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kdf {
    /// PBKDF2-HMAC-SHA-256 (RFC 8018, 5.2).
    #[default]
    Pbkdf2,
    /// scrypt (RFC 7914): also costs memory.
    Scrypt,
}

impl Kdf {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pbkdf2 => "pbkdf2",
            Self::Scrypt => "scrypt",
        }
    }

    /// What deriving is to cost: for a passphrase of a person much, for 256 random bits little,
    /// which no guess finds anyway.
    pub const fn cost(self, random: bool) -> Cost {
        match (self, random) {
            (Self::Pbkdf2, false) => Cost::Pbkdf2 {
                iterations: 600_000,
            },
            (Self::Pbkdf2, true) => Cost::Pbkdf2 { iterations: 10_000 },
            (Self::Scrypt, false) => Cost::Scrypt {
                log_n: 17,
                r: 8,
                p: 1,
            },
            (Self::Scrypt, true) => Cost::Scrypt {
                log_n: 14,
                r: 8,
                p: 1,
            },
        }
    }
}

/// What deriving a key costs. It stands with the ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Iterations of HMAC-SHA-256.
    Pbkdf2 {
        /// How many.
        iterations: u32,
    },
    /// scrypt's parameters: 128 · r · 2^log_n bytes of memory.
    Scrypt {
        /// The binary logarithm of N.
        log_n: u8,
        /// The block size.
        r: u32,
        /// The lanes.
        p: u32,
    },
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pbkdf2 { iterations } => {
                write!(f, "PBKDF2-HMAC-SHA-256, {iterations} iterations")
            }
            Self::Scrypt { log_n, r, p } => write!(f, "scrypt, N=2^{log_n} r={r} p={p}"),
        }
    }
}

/// Encrypts `secret` under `passphrase`, with a fresh salt and IV. Takes as long as `cost` says.
///
/// # Errors
/// [`PbeError::TooCostly`].
pub fn encrypt(
    cost: Cost,
    passphrase: &[u8],
    secret: &[u8; SECRET_LEN],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, PbeError> {
    let (mut salt, mut iv) = ([0; SALT_LEN], [0; 16]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut iv);
    let parameters = match cost {
        Cost::Pbkdf2 { iterations } => {
            Parameters::generate_pbkdf2_sha256_aes256cbc(iterations, &salt, iv)
        }
        Cost::Scrypt { log_n, r, p } => scrypt::Params::new(log_n, r, p)
            .map_err(|_| PbeError::TooCostly)
            .map(|params| Parameters::generate_scrypt_aes256cbc(params, &salt, iv))?,
    }
    .map_err(|_| PbeError::TooCostly)?;
    check_cost(&parameters)?;
    let mut data = Zeroizing::new([0; ENCRYPTED_LEN]);
    for (to, from) in data.iter_mut().zip(secret) {
        *to = *from;
    }
    // The library leaves the derived key in its frames.
    stack::wiped(|| {
        parameters
            .encrypt_in_place(passphrase, &mut *data, SECRET_LEN)
            .map(|_| ())
            .map_err(|_| PbeError::TooCostly)
    })?;
    Encrypted {
        scheme: parameters.into(),
        data: *data,
    }
    .to_der()
    .map_err(|_| PbeError::Malformed)
}

/// Decrypts what [`encrypt`] gave.
///
/// # Errors
/// [`PbeError`].
pub fn decrypt(encrypted: &[u8], passphrase: &[u8]) -> Result<LockedBytes<SECRET_LEN>, PbeError> {
    let (parameters, data) = parse(encrypted)?;
    let mut data = Zeroizing::new(data);
    // The library leaves the derived key in its frames.
    stack::wiped(|| {
        let secret = parameters.decrypt_in_place(passphrase, &mut *data);
        let secret = secret.map_err(|_| PbeError::WrongPassphrase)?;
        let secret = secret.try_into().map_err(|_| PbeError::WrongPassphrase)?;
        Ok(LockedBytes::copy_of(secret))
    })
}

/// What opening `encrypted` will cost.
///
/// # Errors
/// [`PbeError`], but for `WrongPassphrase`.
pub fn cost(encrypted: &[u8]) -> Result<Cost, PbeError> {
    let (parameters, _) = parse(encrypted)?;
    check_cost(&parameters)
}

fn parse(encrypted: &[u8]) -> Result<(Parameters, [u8; ENCRYPTED_LEN]), PbeError> {
    if encrypted.len() > MAX_DER_LEN {
        return Err(PbeError::Malformed);
    }
    let parsed = Encrypted::from_der(encrypted).map_err(|error| match error.kind() {
        der::ErrorKind::OidUnknown { .. } => PbeError::Unsupported,
        _ => PbeError::Malformed,
    })?;
    let EncryptionScheme::Pbes2(parameters) = parsed.scheme else {
        return Err(PbeError::Unsupported);
    };
    if !matches!(
        parameters.encryption,
        pbes2::EncryptionScheme::Aes256Cbc { .. }
    ) {
        return Err(PbeError::Unsupported);
    }
    check_cost(&parameters)?;
    check_form(&parameters)?;
    let (scheme, data) = (parameters.clone().into(), parsed.data);
    let written = Encrypted { scheme, data }.to_der();
    if written.as_deref() != Ok(encrypted) {
        return Err(PbeError::OtherForm);
    }
    Ok((parameters, data))
}

/// What may stand there or not, or be longer or shorter, without another meaning.
fn check_form(parameters: &Parameters) -> Result<(), PbeError> {
    let (salt, key_length) = match &parameters.kdf {
        pbes2::Kdf::Pbkdf2(params) => (params.salt.as_bytes().len(), params.key_length),
        pbes2::Kdf::Scrypt(params) => (params.salt.as_bytes().len(), params.key_length),
        _ => return Err(PbeError::Unsupported),
    };
    if salt == SALT_LEN && key_length.is_none() {
        Ok(())
    } else {
        Err(PbeError::OtherForm)
    }
}

fn check_cost(parameters: &Parameters) -> Result<Cost, PbeError> {
    match &parameters.kdf {
        pbes2::Kdf::Pbkdf2(Pbkdf2Params {
            iteration_count,
            prf: Pbkdf2Prf::HmacWithSha256,
            key_length: None | Some(32),
            ..
        }) => match *iteration_count {
            iterations @ 1..=MAX_ITERATIONS => Ok(Cost::Pbkdf2 { iterations }),
            _ => Err(PbeError::TooCostly),
        },
        pbes2::Kdf::Scrypt(ScryptParams {
            cost_parameter: n,
            block_size: r,
            parallelization: p,
            key_length: None | Some(32),
            ..
        }) => {
            if !n.is_power_of_two() || *n < 2 || *r == 0 || *p == 0 {
                return Err(PbeError::Malformed);
            }
            let memory = n.saturating_mul(128).saturating_mul(u64::from(*r));
            if memory > MAX_SCRYPT_MEMORY || *p > MAX_SCRYPT_PARALLEL {
                return Err(PbeError::TooCostly);
            }
            Ok(Cost::Scrypt {
                log_n: n.trailing_zeros() as u8,
                r: u32::from(*r),
                p: u32::from(*p),
            })
        }
        _ => Err(PbeError::Unsupported),
    }
}

struct Encrypted {
    scheme: EncryptionScheme,
    data: [u8; ENCRYPTED_LEN],
}

impl<'a> DecodeValue<'a> for Encrypted {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, _: Header) -> der::Result<Self> {
        let scheme = EncryptionScheme::decode(reader)?;
        let data: &OctetStringRef = Decode::decode(reader)?;
        let data = data
            .as_bytes()
            .try_into()
            .map_err(|_| der::Tag::OctetString.length_error())?;
        Ok(Self { scheme, data })
    }
}

impl EncodeValue for Encrypted {
    fn value_len(&self) -> der::Result<Length> {
        self.scheme.encoded_len()? + OctetStringRef::new(&self.data)?.encoded_len()?
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.scheme.encode(writer)?;
        OctetStringRef::new(&self.data)?.encode(writer)
    }
}

impl Sequence<'_> for Encrypted {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const CHEAP: [Cost; 2] = [
        Cost::Pbkdf2 { iterations: 2 },
        Cost::Scrypt {
            log_n: 2,
            r: 1,
            p: 1,
        },
    ];

    #[test]
    fn it_opens_with_its_passphrase_and_no_other_and_names_its_cost() {
        for given in CHEAP {
            let encrypted = encrypt(given, b"passphrase", &[7; 32], &mut rand::rng()).unwrap();
            assert_eq!(cost(&encrypted), Ok(given));
            assert_eq!(*decrypt(&encrypted, b"passphrase").unwrap(), [7; 32]);
            for wrong in [&b"passphrasE"[..], b"", b"passphrase\n"] {
                let error = decrypt(&encrypted, wrong).unwrap_err();
                assert_eq!(error, PbeError::WrongPassphrase);
            }
            let again = encrypt(given, b"passphrase", &[7; 32], &mut rand::rng()).unwrap();
            assert_ne!(again, encrypted, "salt and IV are fresh");
        }
    }

    #[test]
    fn no_flip_and_no_cut_panics_or_opens_to_the_same() {
        for given in CHEAP {
            let encrypted = encrypt(given, b"passphrase", &[7; 32], &mut rand::rng()).unwrap();
            for bit in 0..encrypted.len() * 8 {
                let mut changed = encrypted.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                // Some only raise the cost; those that are refused for it are refused at once.
                if cost(&changed).is_ok_and(|now| now != given) {
                    continue;
                }
                if let Ok(secret) = decrypt(&changed, b"passphrase") {
                    assert_ne!(*secret, [7; 32], "bit {bit}");
                }
            }
            for len in 0..encrypted.len() {
                assert_eq!(
                    decrypt(&encrypted[..len], b"passphrase").err(),
                    Some(PbeError::Malformed)
                );
            }
            let longer = [&encrypted[..], &[0]].concat();
            assert_eq!(
                decrypt(&longer, b"passphrase").err(),
                Some(PbeError::Malformed)
            );
        }
    }

    #[test]
    fn a_cost_that_would_stop_the_server_is_refused_before_it_is_spent() {
        let dear = [
            Cost::Pbkdf2 {
                iterations: MAX_ITERATIONS + 1,
            },
            Cost::Scrypt {
                log_n: 24,
                r: 8,
                p: 1,
            },
            Cost::Scrypt {
                log_n: 10,
                r: 8,
                p: 17,
            },
        ];
        for cost in dear {
            let error = encrypt(cost, b"passphrase", &[7; 32], &mut rand::rng());
            assert_eq!(error, Err(PbeError::TooCostly), "{cost}");
        }
    }

    /// Zero for N, which the library takes the logarithm of.
    #[test]
    fn a_scrypt_of_no_size_is_refused() {
        let cheap = encrypt(CHEAP[1], b"passphrase", &[7; 32], &mut rand::rng()).unwrap();
        let n = cheap.windows(3).position(|w| w == [2, 1, 4]).unwrap();
        for zero in [n, n + 3, n + 6] {
            let mut changed = cheap.clone();
            changed[zero + 2] = 0;
            assert_eq!(
                decrypt(&changed, b"passphrase").err(),
                Some(PbeError::Malformed)
            );
        }
    }

    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let len = u8::try_from(content.len()).unwrap();
        let head: &[u8] = if len < 0x80 {
            &[tag, len]
        } else {
            &[tag, 0x81, len]
        };
        [head, &content].concat()
    }

    /// PBKDF2 of 2 iterations, in forms that mean the same to whoever reads DER.
    fn pbkdf2(salt: usize, key_length: Option<u8>, null: bool, cut_default: bool) -> Vec<u8> {
        let oid = |bytes: &[u8]| tlv(6, &[bytes]);
        let hmac = oid(b"\x2a\x86\x48\x86\xf7\x0d\x02\x09");
        let prf = tlv(0x30, &[&hmac, if null { &[5, 0] } else { &[] }]);
        let salt = tlv(4, &[&vec![9; salt]]);
        let key_length = key_length.map_or_else(Vec::new, |len| vec![2, 1, len]);
        let prf = if cut_default { Vec::new() } else { prf };
        let parameters = tlv(0x30, &[&salt, &[2, 1, 2], &key_length, &prf]);
        let kdf = tlv(
            0x30,
            &[&oid(b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c"), &parameters],
        );
        let aes = oid(b"\x60\x86\x48\x01\x65\x03\x04\x01\x2a");
        let cipher = tlv(0x30, &[&aes, &tlv(4, &[&[3; 16]])]);
        let pbes2 = oid(b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d");
        let scheme = tlv(0x30, &[&pbes2, &tlv(0x30, &[&kdf, &cipher])]);
        tlv(0x30, &[&scheme, &tlv(4, &[&[7; ENCRYPTED_LEN]])])
    }

    #[test]
    fn one_form_is_taken_and_no_other_of_the_same_meaning() {
        let error = decrypt(&pbkdf2(SALT_LEN, None, true, false), b"passphrase").err();
        assert_eq!(error, Some(PbeError::WrongPassphrase), "the form is right");
        for (what, der) in [
            (
                "the key's length is there",
                pbkdf2(SALT_LEN, Some(32), true, false),
            ),
            (
                "the PRF without its NULL",
                pbkdf2(SALT_LEN, None, false, false),
            ),
            ("a short salt", pbkdf2(8, None, true, false)),
            ("a long salt", pbkdf2(17, None, true, false)),
        ] {
            assert_eq!(cost(&der), Err(PbeError::OtherForm), "{what}");
            assert_eq!(
                decrypt(&der, b"passphrase").err(),
                Some(PbeError::OtherForm),
                "{what}"
            );
        }
        // Without it the PRF is that of SHA-1.
        let other_prf = pbkdf2(SALT_LEN, None, true, true);
        assert_eq!(cost(&other_prf), Err(PbeError::Unsupported));
    }

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Derived {
        tc_id: u32,
        password: String,
        salt: String,
        iteration_count: u32,
        dk: String,
    }

    #[derive(serde::Deserialize)]
    struct Group {
        tests: Vec<Derived>,
    }

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct File {
        test_groups: Vec<Group>,
    }

    /// The vectors of Wycheproof: what is encrypted is so under the derived key that they have.
    #[test]
    fn pbkdf2_derives_what_the_vectors_have() {
        use aes::cipher::{BlockCipherDecrypt as _, KeyInit as _};

        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let file =
            include_str!("../../../../common/tests/vectors/wycheproof/pbkdf2_hmacsha256_test.json");
        let file: File = serde_json::from_str(file).unwrap();
        let mut seen = 0;
        for case in file.test_groups.iter().flat_map(|group| &group.tests) {
            // The first block of a longer key; a shorter one is not enough for the cipher.
            let Some(key) = hex(&case.dk).first_chunk::<32>().copied() else {
                continue;
            };
            let (salt, iv) = (hex(&case.salt), [5; 16]);
            let iterations = case.iteration_count;
            let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(iterations, &salt, iv);
            let mut data = [0; ENCRYPTED_LEN];
            data[..SECRET_LEN].copy_from_slice(&[7; SECRET_LEN]);
            let password = hex(&case.password);
            let parameters = parameters.unwrap();
            parameters
                .encrypt_in_place(&password, &mut data, SECRET_LEN)
                .unwrap();

            let cipher = aes::Aes256::new((&key).into());
            let mut former = iv;
            let mut plain = Vec::new();
            for block in data.as_chunks::<16>().0 {
                let mut opened = *block;
                cipher.decrypt_block((&mut opened).into());
                plain.extend(opened.iter().zip(former).map(|(byte, mask)| byte ^ mask));
                former = *block;
            }
            let (secret, padding) = plain.split_at(SECRET_LEN);
            assert_eq!(secret, [7; SECRET_LEN], "{}", case.tc_id);
            assert_eq!(padding, [16; 16], "{}", case.tc_id);
            seen += 1;
        }
        assert_eq!(seen, 38);
    }
}
