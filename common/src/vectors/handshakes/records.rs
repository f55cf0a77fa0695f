//! The first records after a handshake, of one direction.

use std::io::IoSlice;
use std::time::Duration;

use super::form::{Direction, Epoch, Record};
use crate::crypto::kdf::{self, Label, Purpose};
use crate::crypto::suites::Suite;
use crate::id::KeyKind;
use crate::record::{HEADER_LEN, Opened, Opener, RecordLimits, Sealer};
use crate::secret::TrafficSecret;
use crate::vectors::{array, hex};

/// Two data records, a key update because of the epoch's age, one more data record, and the close.
pub(in crate::vectors) fn direction(
    secret: TrafficSecret,
    kind: KeyKind,
    suite: Suite,
) -> Direction {
    let age = Duration::from_secs(600);
    let limits = RecordLimits::new(age);
    let mut sealer = Sealer::new(secret.clone(), kind, suite, limits);
    let plaintexts: [&[u8]; 3] = [
        b"PRI",
        b"a record that begins within a cipher block",
        b"under the next key",
    ];
    let mut wire = Vec::new();
    for (text, now) in plaintexts
        .into_iter()
        .zip([Duration::ZERO, Duration::ZERO, age])
    {
        sealer.data(now, &[IoSlice::new(text)], &mut wire).unwrap();
    }
    sealer.close(&mut wire).unwrap();

    let opener = Opener::new(secret.clone(), kind, suite, limits);
    Direction {
        epochs: epochs(&secret, kind, suite),
        records: records(opener, &wire),
    }
}

/// The records in `wire`, of two epochs.
fn records(mut opener: Opener, wire: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let (mut rest, mut epoch, mut sequence) = (wire, 0, 0);
    while !rest.is_empty() {
        let header = opener.header(array(&rest[..HEADER_LEN])).unwrap();
        let (record, after) = rest.split_at(HEADER_LEN + header.body_len());
        let mut body = record[HEADER_LEN..].to_vec();
        let opened = opener.open(header, &mut body).unwrap();
        let plaintext = match &opened {
            Opened::Data(text) => hex(&**text),
            Opened::KeyUpdate | Opened::Close => String::new(),
        };
        records.push(Record {
            epoch,
            sequence,
            plaintext,
            record: hex(record),
        });
        if opened == Opened::KeyUpdate {
            epoch += 1;
        }
        (rest, sequence) = (after, sequence + 1);
    }
    assert_eq!((epoch, sequence), (1, 5));
    records
}

/// The keys of the first epoch and of the second.
fn epochs(secret: &TrafficSecret, kind: KeyKind, suite: Suite) -> Vec<Epoch> {
    let label = |purpose| Label {
        purpose,
        kind,
        suite: Some(suite),
    };
    let next = kdf::expand_label(secret.expose(), label(Purpose::NextTrafficSecret), &[]);
    [*secret.expose(), *next]
        .map(|secret| match suite {
            Suite::TdesCtrHmacSha256 => Epoch {
                traffic_secret: hex(secret),
                key: hex(
                    kdf::derive_key(KeyKind::Tdes, &secret, label(Purpose::TrafficKey), &[])
                        .expose(),
                ),
                mac_key: Some(hex(*kdf::expand_label::<32, 0>(
                    &secret,
                    label(Purpose::TrafficMacKey),
                    &[],
                ))),
                iv: None,
            },
            Suite::Aes256Gcm => Epoch {
                traffic_secret: hex(secret),
                key: hex(*kdf::expand_label::<32, 0>(
                    &secret,
                    label(Purpose::TrafficKey),
                    &[],
                )),
                mac_key: None,
                iv: Some(hex(*kdf::expand_label::<12, 0>(
                    &secret,
                    label(Purpose::TrafficIv),
                    &[],
                ))),
            },
        })
        .into()
}
