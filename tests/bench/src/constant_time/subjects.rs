//! What is measured: every backend of the cipher, the check of a MAC, and the controls.

use std::hint::black_box;

use portcullis_common::crypto::keystream::Keystream;
use portcullis_common::crypto::mac::MacKey;
use portcullis_tdes::{Backend, Features, KEY_LEN};

use super::controls::{EarlyExit, TableDriven};
use super::inputs::{Classes, Input};

/// Bytes that the MAC is over, beside a record's number and header.
const MESSAGE: usize = 64;

/// Something whose time may tell of its input.
pub(super) trait Subject {
    /// What is done before, and not measured.
    fn ready(&mut self, _input: &Input) {}
    fn measured(&mut self, input: &mut Input);
    /// What is done after, and not measured.
    fn clean(&mut self) {}
}

/// A subject, and the classes of input that it is given.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) classes: Classes,
    pub(super) data_len: usize,
    /// It leaks on purpose.
    pub(super) is_control: bool,
    pub(super) subject: Box<dyn Subject>,
}

impl Target {
    /// All of this machine, the controls first.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::control("look-ups in tables", Classes::Key, 8, TableDriven::new()),
            Self::control("look-ups in tables", Classes::Data, 8, TableDriven::new()),
            Self::control(
                "comparison byte by byte",
                Classes::Tag,
                MESSAGE,
                EarlyExit::default(),
            ),
        ];
        for backend in Backend::available(Features::detected()) {
            let name = format!("cipher, {}", backend.name());
            let len = backend.batch_len();
            let whole = FromKey {
                backend,
                made: None,
            };
            all.push(Self::new(&name, Classes::Key, len, whole));
            let keystream = UnderOneKey {
                backend,
                keystream: None,
            };
            all.push(Self::new(&name, Classes::Data, len, keystream));
        }
        for classes in [Classes::Key, Classes::Data, Classes::Tag] {
            let check = MacCheck {
                classes,
                ready: None,
            };
            all.push(Self::new("MAC check", classes, MESSAGE, check));
        }
        all
    }

    fn new(name: &str, classes: Classes, data_len: usize, subject: impl Subject + 'static) -> Self {
        let classes_name = match classes {
            Classes::Key => "fixed or random key",
            Classes::Data => "fixed or random data",
            Classes::Tag => "tag wrong in its first or last byte",
        };
        Self {
            name: format!("{name}: {classes_name}"),
            classes,
            data_len,
            is_control: false,
            subject: Box::new(subject),
        }
    }

    fn control(
        name: &str,
        classes: Classes,
        data_len: usize,
        subject: impl Subject + 'static,
    ) -> Self {
        Self {
            is_control: true,
            ..Self::new(name, classes, data_len, subject)
        }
    }
}

/// All that the cipher does with a key: the key made ready, and a batch under it.
struct FromKey {
    backend: Backend,
    made: Option<Keystream>,
}

impl Subject for FromKey {
    fn measured(&mut self, input: &mut Input) {
        self.made = cipher_key(&input.key).map(|key| {
            let mut keystream = Keystream::with_backend(key, self.backend);
            keystream.apply(&mut input.data);
            keystream
        });
    }

    fn clean(&mut self) {
        self.made = None;
    }
}

/// A batch under a key that is ready.
struct UnderOneKey {
    backend: Backend,
    keystream: Option<Keystream>,
}

impl Subject for UnderOneKey {
    fn ready(&mut self, input: &Input) {
        if self.keystream.is_none() {
            self.keystream =
                cipher_key(&input.key).map(|key| Keystream::with_backend(key, self.backend));
        }
    }

    fn measured(&mut self, input: &mut Input) {
        if let Some(keystream) = &mut self.keystream {
            keystream.apply(&mut input.data);
        }
    }
}

fn cipher_key(key: &[u8; 32]) -> Option<&[u8; KEY_LEN]> {
    key.first_chunk()
}

/// The check of a wrong tag, as of a record's. A right one may take another time: its answer is
/// known to all.
struct MacCheck {
    classes: Classes,
    ready: Option<(MacKey, [u8; 32])>,
}

impl Subject for MacCheck {
    fn ready(&mut self, input: &Input) {
        let key = MacKey::new(&input.key);
        let tag = wrong_tag(&key, input);
        self.ready = Some((key, tag));
    }

    fn measured(&mut self, input: &mut Input) {
        let Some((key, tag)) = &mut self.ready else {
            return;
        };
        // Making the key ready belongs to what a key may tell.
        if self.classes == Classes::Key {
            *key = MacKey::new(&input.key);
        }
        let _ = black_box(key.verify(&covered(&input.data), tag));
    }
}

/// What a record's tag covers: its number, its header, its ciphertext.
pub(super) fn covered(data: &[u8]) -> [&[u8]; 3] {
    [&[0; 8], &[0; 3], data]
}

/// The right tag with the error of `input`.
pub(super) fn wrong_tag(key: &MacKey, input: &Input) -> [u8; 32] {
    let mut tag = key.tag(&covered(&input.data)).to_bytes();
    for (byte, error) in tag.iter_mut().zip(&input.error) {
        *byte ^= error;
    }
    tag
}
