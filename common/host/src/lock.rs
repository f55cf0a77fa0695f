//! A lock on a file, by which only one process at a time does something.

use std::fs::{File, TryLockError};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// How often a lock that another process holds is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Held until this is dropped; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock of a file that is open; `None` where another process, or another handle of
    /// this one, holds it.
    ///
    /// # Errors
    /// What the system said.
    pub fn try_take(file: File) -> io::Result<Option<Self>> {
        Self::take_within(file, Duration::ZERO)
    }

    /// As [`Self::try_take`], but waits so long for whoever holds it.
    ///
    /// # Errors
    /// What the system said.
    #[allow(
        clippy::disallowed_methods,
        reason = "other processes hold such a lock for moments only"
    )]
    pub fn take_within(file: File, patience: Duration) -> io::Result<Option<Self>> {
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
                Err(TryLockError::WouldBlock) => thread::sleep(RETRY),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_one_holder_s_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let open = || {
            let mut options = File::options();
            options.write(true).create(true).truncate(false);
            options.open(&path).unwrap()
        };
        let first = FileLock::try_take(open()).unwrap();
        assert!(first.is_some());
        assert!(FileLock::try_take(open()).unwrap().is_none());
        let waited = Instant::now();
        let patience = Duration::from_millis(30);
        assert!(FileLock::take_within(open(), patience).unwrap().is_none());
        assert!(waited.elapsed() >= patience);
        drop(first);
        assert!(FileLock::try_take(open()).unwrap().is_some());
    }
}
