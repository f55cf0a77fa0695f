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

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, read: impl FnOnce(&mut Section<'_>)) -> Vec<String> {
        let read = |mut root: Section<'_>, _: &Problems| {
            read(&mut root);
            root.finish();
        };
        let found = parse(Path::new("a.toml"), text, read).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_that_is_wrong_is_found_in_the_order_of_the_file() {
        let text = "port = 1\n[log]\nlevel = 3\n[limits]\ncalls = 0\ncolour = \"red\"\n";
        let found = problems(text, |root| {
            let mut limits = root.section("limits").unwrap();
            assert_eq!(limits.integer("calls", 1..=9), None);
            assert!(!limits.is_sound("calls") && limits.is_sound("colour"));
            limits.finish_with(|key, allowed| format!("no `{key}`, but {allowed}"));
            let mut log = root.section("log").unwrap();
            assert_eq!(log.text_or("level", "give a level"), None);
            log.finish();
        });
        assert_eq!(
            found,
            [
                "a.toml:1: port: unknown key: allowed here are `limits`, `log`",
                "a.toml:3: log.level: give a level",
                "a.toml:5: limits.calls: out of range: a whole number from 1 to 9 is allowed",
                "a.toml:6: limits.colour: no `colour`, but `calls`",
            ]
        );
    }

    #[test]
    fn every_break_of_the_syntax_is_found() {
        let found = problems("a = \nb = [\n1\n[c\n", |_| {});
        assert!(found.len() > 1, "{found:?}");
        assert!(
            found[0].starts_with("a.toml:1: this is no valid TOML: "),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_larger_than_any_configuration_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        let error = read_file(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
