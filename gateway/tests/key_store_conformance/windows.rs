//! The registry store, and what only it promises: protection of the value.

use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_gateway::key_store::{KeyStore, RegistryStore};
use windows_registry::{LOCAL_MACHINE, Type};

use super::{records, store};

const PARENT: &str = r"SOFTWARE\Portcullis\Gateway";
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Where one test keeps its keys.
pub(crate) struct Place {
    instance: String,
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            instance: format!("conformance-{}-{number}", std::process::id()),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn open(&self) -> Box<dyn KeyStore> {
        let state_dir = self.folder.path().join("state");
        Box::new(RegistryStore::new(&self.instance, &state_dir))
    }

    fn path(&self) -> String {
        format!(r"{PARENT}\{}", self.instance)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // There is none where the test made none.
        let _ = LOCAL_MACHINE.remove_tree(self.path());
    }
}

fn stored(place: &Place) -> Vec<u8> {
    let key = LOCAL_MACHINE.open(place.path()).unwrap();
    key.get_bytes("Keys").unwrap()
}

#[test]
fn the_stored_value_shows_nothing_of_the_record() {
    let place = Place::new();
    let record = records().pop().unwrap();
    store(&*place.open(), &record);
    let value = stored(&place);
    let record = record.encode();
    for part in record.windows(8) {
        assert!(!value.windows(8).any(|window| window == part));
    }
}

#[test]
fn a_changed_value_is_never_taken_for_another_record() {
    let place = Place::new();
    let record = records().pop().unwrap();
    store(&*place.open(), &record);
    let good = stored(&place);
    let key = LOCAL_MACHINE
        .options()
        .read()
        .write()
        .open(place.path())
        .unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        key.set_bytes("Keys", Type::Bytes, &bad).unwrap();
        // Bits that mean nothing may be changed; what is read is the record as it was, or an error.
        if let Ok(read) = place.open().load() {
            assert_eq!(read.encode(), record.encode(), "byte {at}");
        }
    }
    place.open().reset().unwrap();
}

#[test]
fn a_value_copied_to_another_instance_does_not_open() {
    let (place, other) = (Place::new(), Place::new());
    store(&*place.open(), &records().pop().unwrap());
    store(&*other.open(), &records()[0]);
    let key = LOCAL_MACHINE.options().write().open(other.path()).unwrap();
    key.set_bytes("Keys", Type::Bytes, &stored(&place)).unwrap();
    assert!(other.open().load().is_err());
}
