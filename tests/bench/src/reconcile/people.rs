//! The accounts: what each of them is in the target, and in the file that says how it should be.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// One account of so many differs.
const ONE_IN: usize = 1000;

/// One account.
pub(super) struct Person {
    pub(super) login: String,
    pub(super) full_name: String,
    pub(super) mail: String,
    pub(super) department: String,
    pub(super) room: usize,
}

impl Person {
    pub(super) fn new(number: usize) -> Self {
        let department = number % 97;
        Self {
            login: format!("user{number:08}"),
            full_name: format!("Person {number} of department {department}"),
            mail: format!("user{number:08}@example.org"),
            department: format!("department {department}"),
            room: number % 4096,
        }
    }
}

/// How an account differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Differs {
    /// The file has another name.
    Changed,
    /// The file has it alone.
    Missing,
    /// The target has it alone.
    Unknown,
}

impl Differs {
    /// Of the account with this number, from 0.
    pub(super) fn of(number: usize) -> Option<Self> {
        if number % ONE_IN != ONE_IN / 2 {
            return None;
        }
        Some(match number / ONE_IN % 3 {
            0 => Self::Changed,
            1 => Self::Missing,
            _ => Self::Unknown,
        })
    }
}

/// What a reconciliation has to find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accounts that are the same.
    pub same: u64,
    /// The file has them alone.
    pub missing: u64,
    /// The target has them alone.
    pub unknown: u64,
    /// They differ.
    pub changed: u64,
    /// They stand there twice: none.
    pub doubled: u64,
}

impl Counts {
    /// Of so many accounts.
    pub(super) fn expected(accounts: usize) -> Self {
        let mut counts = Self::default();
        for number in 0..accounts {
            *match Differs::of(number) {
                None => &mut counts.same,
                Some(Differs::Changed) => &mut counts.changed,
                Some(Differs::Missing) => &mut counts.missing,
                Some(Differs::Unknown) => &mut counts.unknown,
            } += 1;
        }
        counts
    }

    /// Accounts of the target.
    pub(super) fn there(&self) -> u64 {
        self.same + self.changed + self.unknown
    }
}

/// Writes the file, with these names of the columns beside `name` and `enabled`: of the full name,
/// the mail address, the department and the room.
pub(super) fn write(path: &Path, columns: [&str; 4], accounts: usize) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "name,enabled,{}", columns.join(","))?;
    for number in 0..accounts {
        let differs = Differs::of(number);
        if differs == Some(Differs::Unknown) {
            continue;
        }
        let Person {
            login,
            full_name,
            mail,
            department,
            room,
        } = Person::new(number);
        let moved = match differs {
            Some(Differs::Changed) => ", moved",
            _ => "",
        };
        writeln!(
            file,
            "{login},true,\"{full_name}{moved}\",{mail},{department},{room}"
        )?;
    }
    Ok(file.flush()?)
}
