//! Both wraps against the vectors of their standards, and every change found.

use data_encoding::HEXLOWER;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.trim().as_bytes()).unwrap()
}

fn tdes(key: &[u8]) -> Tdes {
    Tdes::new(key.try_into().unwrap())
}

/// Splits a NIST file into its test cases: the lines `NAME = VALUE` between empty lines.
fn cases(file: &str) -> Vec<Vec<(&str, &str)>> {
    file.replace('\r', "")
        .leak()
        .split("\n\n")
        .filter(|case| case.contains("COUNT"))
        .map(|case| {
            case.lines()
                .map(|line| line.split_once(" = ").unwrap_or((line, "")))
                .collect()
        })
        .collect()
}

fn field<'a>(case: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    case.iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| *value)
}

#[test]
fn nist_tkw_authenticated_encryption() {
    let cases = cases(include_str!("../../../tests/vectors/TKW_AE.txt"));
    assert_eq!(cases.len(), 500);
    for case in cases {
        let value = |name| hex(field(&case, name).unwrap());
        assert_eq!(
            seal(&tdes(&value("K")), &value("P")),
            value("C"),
            "{case:?}"
        );
    }
}

#[test]
fn nist_tkw_authenticated_decryption_and_its_failures() {
    let cases = cases(include_str!("../../../tests/vectors/TKW_AD.txt"));
    assert_eq!(cases.len(), 500);
    let mut failures = 0;
    for case in cases {
        let value = |name| hex(field(&case, name).unwrap());
        let opened = open(&tdes(&value("K")), &value("C"));
        if field(&case, "FAIL").is_some() {
            failures += 1;
            assert_eq!(opened, Err(KeyWrapError::Integrity), "{case:?}");
        } else {
            assert_eq!(*opened.unwrap(), value("P"), "{case:?}");
        }
    }
    assert_eq!(failures, 100);
}

/// RFC 3394, 4.3, 4.5 and 4.6: those under a 256-bit key.
#[test]
fn rfc_3394_vectors() {
    let kek = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let cipher = Aes256::new(kek.as_slice().try_into().unwrap());
    for (key, wrapped) in [
        (
            "00112233445566778899aabbccddeeff",
            "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7",
        ),
        (
            "00112233445566778899aabbccddeeff0001020304050607",
            "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1",
        ),
        (
            "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
    ] {
        assert_eq!(seal(&cipher, &hex(key)), hex(wrapped));
        assert_eq!(*open(&cipher, &hex(wrapped)).unwrap(), hex(key));
    }
}

#[test]
fn every_flipped_bit_and_every_length_is_refused() {
    let rng = &mut rand::rng();
    for kind in [KeyKind::Tdes, KeyKind::Aes256] {
        let kek = KeyEncryptionKey(KeyBytes::random(kind, rng));
        let wrapped = wrap(&kek, KeyBytes::random(KeyKind::Aes256, rng).expose());
        assert_eq!(wrapped.len(), wrapped_len(kind, KeyKind::Aes256));
        for bit in 0..wrapped.len() * 8 {
            let mut changed = wrapped.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                unwrap(&kek, &changed),
                Err(KeyWrapError::Integrity),
                "bit {bit}"
            );
        }
        for len in 0..wrapped.len() {
            assert!(unwrap(&kek, &wrapped[..len]).is_err(), "cut at {len}");
        }
    }
}
