//! The stream of calls, over a real session in this process.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails has to say so"
)]

mod support;

use std::time::Duration;

use portcullis_gateway::connector::Connectors;
use portcullis_gateway::provisioning::Provisioner;
use portcullis_proto::gateway::v1::{Call, call};
use support::stream::Stream;

fn provisioner(connectors: &Connectors) -> Provisioner {
    Provisioner::new(connectors, 64, Duration::from_secs(60))
}

fn call(id: &str, connector: &str, verb: call::Verb) -> Call {
    Call {
        call_id: id.to_owned(),
        connector: connector.to_owned(),
        verb: Some(verb),
        ..Call::default()
    }
}

#[cfg(target_os = "linux")]
mod memory {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt as _;

    use portcullis_common::calls::Answer;
    use portcullis_common::handshake::{CallPlace, Way};
    use portcullis_proto::gateway::v1::{
        Outcome, Secret, SecretSetting, SetPassword, Test, outcome,
    };
    use prost::Message as _;
    use rand::Rng as _;
    use zeroize::Zeroizing;

    use super::*;

    /// Bytes at the end of a secret that are looked for: what lay at its start is soon overwritten in freed memory.
    const TAIL: usize = 32;

    /// A secret that this process remembers in another form only.
    struct Masked([u8; 2 * TAIL]);

    impl Masked {
        fn random() -> Self {
            let mut masked = [0; 2 * TAIL];
            rand::rng().fill_bytes(&mut masked);
            Self(masked)
        }

        fn unmasked(&self) -> Zeroizing<Vec<u8>> {
            Zeroizing::new(self.0.iter().map(|byte| !byte).collect())
        }

        /// Does its end lie in memory that this process may write to?
        fn is_in_memory(&self) -> bool {
            let tail = &self.0[TAIL..];
            let memory = File::open("/proc/self/mem").unwrap();
            let maps = fs::read_to_string("/proc/self/maps").unwrap();
            let mut chunk = Zeroizing::new(vec![0; 1 << 20]);
            for line in maps.lines() {
                let (range, rest) = line.split_once(' ').unwrap();
                if !rest.starts_with("rw") {
                    continue;
                }
                let (start, end) = range.split_once('-').unwrap();
                let address = |text| u64::from_str_radix(text, 16).unwrap();
                let (mut at, end) = (address(start), address(end));
                while at + (TAIL as u64) <= end {
                    let len = (end - at).min(chunk.len() as u64) as usize;
                    // It may be gone by now, or be locked pages that are kept from every reader.
                    if memory.read_exact_at(&mut chunk[..len], at).is_err() {
                        break;
                    }
                    let is_here = |window: &[u8]| window.iter().zip(tail).all(|(a, b)| *a == !b);
                    if chunk[..len].windows(TAIL).any(is_here) {
                        return true;
                    }
                    at += (len + 1 - TAIL) as u64;
                }
            }
            false
        }
    }

    fn set_password(password: Option<Secret>) -> call::Verb {
        call::Verb::SetPassword(SetPassword {
            object: None,
            password,
        })
    }

    fn setting(name: &str, value: Secret) -> SecretSetting {
        SecretSetting {
            name: name.to_owned(),
            value: Some(value),
        }
    }

    #[tokio::test]
    async fn secrets_of_a_call_that_cannot_be_carried_out_are_wiped() {
        let mut stream = Stream::open(provisioner(&Connectors::default())).await;
        let secrets: Vec<_> = (0..5).map(|_| Masked::random()).collect();
        let seal = |number: u32, secret: &Masked| {
            let place = CallPlace {
                way: Way::Call,
                call_id: "one",
                number,
            };
            stream.link.seal(place, &secret.unmasked())
        };
        let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|number| &secrets[number]);
        // Neither an object nor a verb, a setting without a name, a connector that does not exist, and a second secret that
        // was sealed for another place.
        let no_object = call("one", "x", set_password(Some(seal(0, a))));
        let mut no_verb = call("one", "x", set_password(None));
        no_verb.verb = None;
        no_verb.secret_settings = vec![setting("bind", seal(0, b))];
        let mut no_name = call("one", "x", set_password(Some(seal(1, c))));
        no_name.secret_settings = vec![setting("", seal(0, c))];
        let mut no_connector = call("one", "x", call::Verb::Test(Test {}));
        no_connector.secret_settings = vec![setting("bind", seal(0, d))];
        let mut misplaced = call("one", "x", set_password(Some(seal(7, e))));
        misplaced.secret_settings = vec![setting("bind", seal(0, e))];

        for call in [no_object, no_verb, no_name, no_connector] {
            let number = stream.send(&call).await;
            let outcome = Outcome::decode(stream.end(number).await).unwrap();
            let failed = matches!(outcome.result, Some(outcome::Result::Failed(_)));
            assert!(failed, "{outcome:?}");
        }
        let number = stream.send(&misplaced).await;
        let refused = stream.next(number).await;
        assert!(matches!(refused, Answer::Refused(_)), "{refused:?}");

        let alive = a.unmasked();
        assert!(a.is_in_memory(), "this search proves nothing");
        drop(alive);
        for (number, secret) in secrets.iter().enumerate() {
            assert!(!secret.is_in_memory(), "secret {number}");
        }
    }
}
