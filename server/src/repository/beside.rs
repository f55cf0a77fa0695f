//! Work that is done in the transaction of an audit entry, so that both come or neither does.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::sql::Tx;
use super::{Repository, RepositoryError};

type Run = dyn Fn(&mut Tx<'_>, u64) -> Result<bool, RepositoryError> + Send + Sync;

/// What is to be done beside an audit entry. Cheap to clone.
#[derive(Clone)]
pub struct Beside(Arc<Run>);

/// What work beside an entry came to, once it is done.
#[derive(Debug)]
pub struct Told<T>(Arc<Mutex<Option<T>>>);

impl Beside {
    /// Work that is given the number of its entry (0: there is none) and says whether that is to be
    /// written; `None`: the work was not to be done, and the entry is left out.
    pub(super) fn new<T, F>(work: F) -> (Self, Told<T>)
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>, u64) -> Result<Option<(bool, T)>, RepositoryError>
            + Send
            + Sync
            + 'static,
    {
        let told = Told(Arc::default());
        let tell = Arc::clone(&told.0);
        let run = move |tx: &mut Tx<'_>, entry: u64| {
            // Where it runs again, the last run is the one that counts.
            let (written, value) = match work(tx, entry)? {
                Some((written, value)) => (written, Some(value)),
                None => (false, None),
            };
            *tell.lock().unwrap_or_else(PoisonError::into_inner) = value;
            Ok(written)
        };
        (Self(Arc::new(run)), told)
    }

    /// Does it. What it has changed where it fails is its caller's to undo.
    ///
    /// # Errors
    /// That of the work.
    pub(super) fn run(&self, tx: &mut Tx<'_>, entry: u64) -> Result<bool, RepositoryError> {
        (self.0)(tx, entry)
    }
}

impl<T> Told<T> {
    /// What it came to; `None`: it was not done.
    pub fn take(&self) -> Option<T> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.take()
    }
}

impl Repository {
    /// Does work that no audit entry goes with.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing was done.
    pub async fn alone(&self, work: Beside) -> Result<bool, RepositoryError> {
        self.database.write(move |tx| work.run(tx, 0)).await
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beside")
    }
}
