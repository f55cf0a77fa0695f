//! The ciphers and derivations as they are called here, against the vectors of Wycheproof. Those of
//! other sizes of keys, nonces, salts and tags than the protocol has cannot be asked for.

use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::gcm::GcmKey;
use super::kdf;
use super::key_wrap;
use super::mac::MacKey;
use crate::id::KeyKind;
use crate::secret::{KeyBytes, KeyEncryptionKey};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File<T> {
    test_groups: Vec<Group<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group<T> {
    #[serde(default)]
    key_size: usize,
    #[serde(default)]
    iv_size: usize,
    #[serde(default)]
    tag_size: usize,
    tests: Vec<T>,
}

/// What the vectors say of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Valid,
    Acceptable,
    Invalid,
}

fn groups<T: DeserializeOwned>(file: &str) -> Vec<Group<T>> {
    let file: File<T> = serde_json::from_str(file).unwrap();
    file.test_groups
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sealed {
    tc_id: u32,
    key: String,
    iv: String,
    aad: String,
    msg: String,
    ct: String,
    tag: String,
    result: Verdict,
}

#[test]
fn gcm_seals_and_opens_as_the_vectors_have_it_and_opens_nothing_forged() {
    let file = include_str!("../../tests/vectors/wycheproof/aes_gcm_test.json");
    let ours =
        |group: &Group<Sealed>| (group.key_size, group.iv_size, group.tag_size) == (256, 96, 128);
    let mut seen = 0;
    for case in groups(file)
        .into_iter()
        .filter(ours)
        .flat_map(|group| group.tests)
    {
        let id = case.tc_id;
        let (key, nonce) = (GcmKey::new(&array(&case.key)), array(&case.iv));
        let (associated, tag) = (hex(&case.aad), array(&case.tag));
        let mut text = hex(&case.ct);
        let opened = key.open(nonce, &associated, &mut text, &tag);
        assert_eq!(opened.is_ok(), case.result == Verdict::Valid, "{id}");
        if case.result == Verdict::Valid {
            assert_eq!(text, hex(&case.msg), "{id}");
            assert_eq!(key.seal(nonce, &associated, &mut text), Ok(tag), "{id}");
            assert_eq!(text, hex(&case.ct), "{id}");
        }
        seen += 1;
    }
    assert_eq!(seen, 66);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wrapped {
    tc_id: u32,
    key: String,
    msg: String,
    ct: String,
    result: Verdict,
}

/// Keys of 24 and 32 bytes are all that is ever wrapped; what is unwrapped may be anything.
#[test]
fn aes_key_wrap_wraps_as_the_vectors_have_it_and_unwraps_nothing_forged() {
    let file = include_str!("../../tests/vectors/wycheproof/aes_wrap_test.json");
    let mut seen = 0;
    for group in groups::<Wrapped>(file) {
        if group.key_size != 256 {
            continue;
        }
        for case in group.tests {
            let id = case.tc_id;
            let kek = KeyBytes::new(KeyKind::Aes256, &hex(&case.key)).unwrap();
            let kek = KeyEncryptionKey(kek);
            let (key, wrapped) = (hex(&case.msg), hex(&case.ct));
            let unwrapped = key_wrap::unwrap(&kek, &wrapped);
            if case.result == Verdict::Valid {
                assert_eq!(*unwrapped.unwrap(), key, "{id}");
                assert_eq!(key_wrap::wrap(&kek, &key), wrapped, "{id}");
            } else {
                // The one acceptable case is a key of one semiblock, which KW does not have.
                assert!(unwrapped.is_err(), "{id}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 68);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Derived {
    tc_id: u32,
    ikm: String,
    salt: String,
    info: String,
    size: usize,
    okm: String,
    result: Verdict,
}

/// A salt of other than 32 bytes is one of 32 that ends with zeros, or none that can be given.
#[test]
fn hkdf_gives_what_the_vectors_have() {
    let file = include_str!("../../tests/vectors/wycheproof/hkdf_sha256_test.json");
    let (mut seen, mut beyond) = (0, 0);
    for case in groups::<Derived>(file)
        .into_iter()
        .flat_map(|group| group.tests)
    {
        let given = hex(&case.salt);
        let mut salt = [0; 32];
        let Some(to) = salt.get_mut(..given.len()) else {
            beyond += 1;
            continue;
        };
        to.copy_from_slice(&given);
        if case.result != Verdict::Valid {
            // Longer than HKDF gives: such a length does not compile here.
            assert!(case.size > 255 * 32, "{}", case.tc_id);
            beyond += 1;
            continue;
        }
        let prk = kdf::extract(&salt, &[&hex(&case.ikm)]);
        let mut okm = vec![0; case.size];
        kdf::expand(&prk, &hex(&case.info), &mut okm);
        assert_eq!(okm, hex(&case.okm), "{}", case.tc_id);
        seen += 1;
    }
    assert_eq!((seen, seen + beyond), (72, 86));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tagged {
    tc_id: u32,
    key: String,
    msg: String,
    tag: String,
    result: Verdict,
}

/// Whole tags, and those of records, which are cut to 16 bytes.
#[test]
fn hmac_takes_the_tags_that_the_vectors_have_and_no_other() {
    let file = include_str!("../../tests/vectors/wycheproof/hmac_sha256_test.json");
    let ours = |group: &Group<Tagged>| group.key_size == 256;
    let mut seen = 0;
    for case in groups(file)
        .into_iter()
        .filter(ours)
        .flat_map(|group| group.tests)
    {
        let (key, msg, tag) = (
            MacKey::new(&array(&case.key)),
            hex(&case.msg),
            hex(&case.tag),
        );
        let valid = case.result == Verdict::Valid;
        assert_eq!(key.verify(&[&msg], &tag).is_ok(), valid, "{}", case.tc_id);
        // In parts it is the same message.
        let (front, back) = msg.split_at(msg.len() / 3);
        assert_eq!(
            key.verify(&[front, back], &tag).is_ok(),
            valid,
            "{}",
            case.tc_id
        );
        seen += 1;
    }
    assert_eq!(seen, 162);
}
