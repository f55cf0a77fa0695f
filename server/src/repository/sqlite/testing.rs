//! What tests do to a file behind the repository's back.

use std::path::Path;
use std::sync::mpsc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Sqlite;
use super::readers::{Length, READERS};
use crate::repository::sql::Work;

/// Bytes as they stand in SQL.
pub(crate) fn literal(bytes: &[u8]) -> String {
    format!("x'{}'", data_encoding::HEXUPPER.encode(bytes))
}

/// Carries out statements on a connection of their own, as another program would.
pub(crate) fn tamper(file: &Path, sql: &str) {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(sql).unwrap();
}

impl Sqlite {
    /// Occupies every thread that reads, until the answer is dropped.
    pub(crate) fn stop_reading(&self) -> Vec<mpsc::Sender<()>> {
        let mut stopped = Vec::new();
        for _ in 0..READERS {
            let (begun, has_begun) = mpsc::channel();
            let (go_on, may_go_on) = mpsc::channel::<()>();
            let work = Work::new(move |_| {
                // Errors say that the test is over.
                let _ = begun.send(());
                let _ = may_go_on.recv();
                Ok(())
            });
            self.readers
                .submit(work, Length::Any, oneshot::channel().0)
                .unwrap();
            has_begun.recv().unwrap();
            stopped.push(go_on);
        }
        stopped
    }
}
