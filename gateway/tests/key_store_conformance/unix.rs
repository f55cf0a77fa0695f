//! The file store, and what only it promises: modes, owners, links, a full disk.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use portcullis_common::rotation::GatewayRecord;
use portcullis_gateway::key_store::{FileStore, KeyStore, KeyStoreError};
use portcullis_gateway::state_dir::StateDirError;

use super::{records, store};

/// Where one test keeps its keys.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn open(&self) -> Box<dyn KeyStore> {
        Box::new(FileStore::new(&self.state_dir()))
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn keys(&self) -> PathBuf {
        self.state_dir().join("keys")
    }

    /// With a record in it.
    fn filled() -> Self {
        let place = Self::new();
        store(&*place.open(), records().last().unwrap());
        place
    }

    fn refused(&self) -> StateDirError {
        let written = self.open().reset();
        for error in [self.open().load().map(drop), written] {
            assert!(error.is_err(), "both reading and writing are refused");
        }
        match self.open().load() {
            Err(KeyStoreError::StateDir(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn folder_and_files_are_private_from_the_start() {
    let place = Place::filled();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(place.state_dir()), 0o700);
    for entry in fs::read_dir(place.state_dir()).unwrap() {
        assert_eq!(mode(entry.unwrap().path()), 0o600);
    }
}

#[test]
fn no_temporary_file_stays_and_a_stale_one_does_no_harm() {
    let place = Place::filled();
    let stale = place.state_dir().join("keys.new");
    fs::write(&stale, b"left by a crash").unwrap();
    place.open().reset().unwrap();
    assert!(!stale.exists());
    assert_eq!(
        place.open().load().unwrap().encode(),
        GatewayRecord::empty().encode()
    );
}

#[test]
fn loose_permissions_are_refused_with_the_command_that_mends_them() {
    let place = Place::filled();
    for (path, loose, tight) in [
        (place.state_dir(), 0o750, 0o700),
        (place.state_dir(), 0o701, 0o700),
        (place.keys(), 0o640, 0o600),
        (place.keys(), 0o602, 0o600),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
        let text = place.refused().to_string();
        let mend = format!("chmod {tight:04o} {}", path.display());
        assert!(text.contains(&mend), "{text}");
        fs::set_permissions(&path, fs::Permissions::from_mode(tight)).unwrap();
    }
    place.open().load().unwrap();
}

#[test]
fn links_are_refused() {
    let place = Place::filled();
    let elsewhere = place.folder.path().join("elsewhere");
    fs::rename(place.keys(), &elsewhere).unwrap();
    symlink(&elsewhere, place.keys()).unwrap();
    assert!(matches!(place.refused(), StateDirError::Link { .. }));
    fs::remove_file(place.keys()).unwrap();

    fs::hard_link(&elsewhere, place.keys()).unwrap();
    assert!(matches!(
        place.refused(),
        StateDirError::HardLink { links: 2, .. }
    ));
    fs::remove_file(&elsewhere).unwrap();
    place.open().load().unwrap();

    let real = place.folder.path().join("real");
    fs::rename(place.state_dir(), &real).unwrap();
    symlink(&real, place.state_dir()).unwrap();
    assert!(matches!(place.refused(), StateDirError::Link { .. }));
}

#[test]
fn a_folder_in_place_of_the_file_and_a_file_in_place_of_the_folder_are_refused() {
    let place = Place::filled();
    fs::remove_file(place.keys()).unwrap();
    fs::create_dir(place.keys()).unwrap();
    assert!(place.open().load().is_err());
    fs::remove_dir_all(place.state_dir()).unwrap();
    fs::write(place.state_dir(), b"").unwrap();
    assert!(matches!(place.refused(), StateDirError::Kind { .. }));
}

#[test]
fn keys_of_another_user_are_refused_with_both_ways_out() {
    let place = Place::filled();
    if std::os::unix::fs::chown(place.keys(), Some(65_534), None).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    let text = place.refused().to_string();
    assert!(text.contains("sudo -u '#65534'"), "{text}");
    assert!(text.contains("chown -R"), "{text}");
}
