//! A gateway's stored record: refused, or read as it would be written.

use crate::rng;
use portcullis_common::rotation::{GatewayRecord, RunId, UnixMillis};

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(record) = GatewayRecord::decode(bytes) {
        assert_eq!(record.encode().as_slice(), bytes);
        let begin = record.begin(RunId::random(&mut rng()), UnixMillis(0));
        if let Some(stored) = begin.store {
            assert!(GatewayRecord::decode(&stored.encode()).is_ok());
        }
    }
}
