//! The reader of a configuration file, for both programs: it reports all that is wrong at once,
//! with file, line, key and what is allowed.

mod problem;
mod section;
mod table;

use std::path::Path;
use std::{fs, io};

pub use problem::{ConfigProblem, Problems};
pub use section::Section;
pub use table::Table;

/// Larger than any configuration: what is larger is not read.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// The text of a configuration file.
///
/// # Errors
/// What the system said; `FileTooLarge` where no configuration is as large as this file.
pub fn read_file(path: &Path) -> io::Result<String> {
    let length = fs::metadata(path)?.len();
    if length > MAX_FILE_LEN {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has {length} bytes; a configuration has at most {MAX_FILE_LEN}"),
        ));
    }
    fs::read_to_string(path)
}

/// Reads the text of a configuration that stands in `file`: `read` is given the table at its root,
/// and finishes it.
///
/// # Errors
/// Every [`ConfigProblem`] found.
pub fn parse<T>(
    file: &Path,
    text: &str,
    read: impl FnOnce(Section<'_>, &Problems) -> T,
) -> Result<T, Vec<ConfigProblem>> {
    let problems = Problems::new(file);
    match Table::parse(text) {
        Ok(table) => {
            let config = read(Section::new("", &table, &problems), &problems);
            let found = problems.into_vec();
            if found.is_empty() {
                Ok(config)
            } else {
                Err(found)
            }
        }
        Err(errors) => {
            for (line, message) in errors {
                problems.add(line, "", format!("this is no valid TOML: {message}"));
            }
            Err(problems.into_vec())
        }
    }
}
