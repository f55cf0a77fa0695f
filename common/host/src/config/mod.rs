//! The reader of a configuration file, for both programs: it reports all that is wrong at once,
//! with file, line, key and what is allowed.

mod problem;
mod section;
mod table;

use std::io;
use std::path::Path;

pub use problem::{ConfigProblem, Problems};
pub use section::Section;
pub use table::Table;

use crate::text::{self, TextError};

/// Larger than any configuration: what is larger is not read.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// The text of a configuration file.
///
/// # Errors
/// What the system said; `FileTooLarge` where no configuration is as large as this file;
/// `InvalidData` where it is no text; `InvalidInput` where it is no file: a pipe would have a
/// reload wait for ever.
pub fn read_file(path: &Path) -> io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() && !metadata.is_dir() {
        let message = "it is no regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    match text::read_file(path, MAX_FILE_LEN) {
        Ok(mut content) => Ok(std::mem::take(&mut *content)),
        Err(TextError::Io(error)) => Err(error),
        Err(error @ TextError::TooLong(_)) => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, error))
        }
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
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
                "a.toml, line 1: port: unknown key: allowed here are `limits`, `log`",
                "a.toml, line 3: log.level: give a level",
                "a.toml, line 5: limits.calls: out of range: a whole number from 1 to 9 is allowed",
                "a.toml, line 6: limits.colour: no `colour`, but `calls`",
            ]
        );
    }

    #[test]
    fn every_break_of_the_syntax_is_found() {
        let found = problems("a = \nb = [\n1\n[c\n", |_| {});
        assert!(found.len() > 1, "{found:?}");
        assert!(
            found[0].starts_with("a.toml, line 1: this is no valid TOML: "),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_wrong_steers_no_terminal_and_no_text_holds_a_nul() {
        let text = "\"a\\u001b[2J\" = 1\nb = \"x\\u001b[31m\"\nc = \"/var\\u0000/lib\"\nd = [\"y\\u0000\"]\n\u{9b}";
        let mut found = problems(&text[..text.len() - 2], |root| {
            assert_eq!(root.parsed::<u8>("b"), None);
            assert_eq!(root.text("c"), None);
            assert_eq!(root.list("d", |text| Ok(text.to_owned())), None);
        });
        found.extend(problems(text, |_| {}));
        let found = found.join("\n");
        for expected in [
            "a.toml, line 1: a\\u{1b}[2J: unknown key",
            "a.toml, line 2: b: `x\\u{1b}[31m`: invalid digit",
            "a.toml, line 3: c: a NUL stands in the text: no value may have one",
            "a.toml, line 4: d: a NUL stands in the text: no value may have one",
        ] {
            assert!(found.contains(expected), "{found}");
        }
        assert!(!found.contains(['\u{1b}', '\u{9b}', '\0']), "{found:?}");
    }

    #[test]
    fn a_configuration_is_read_as_any_text_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        let read = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            read_file(&file).map_err(|error| error.to_string())
        };
        assert_eq!(read(b"\xef\xbb\xbfa = 1\r\n").as_deref(), Ok("a = 1\r\n"));
        assert!(
            read(b"a = 1\n# Z\xfcrich\n")
                .unwrap_err()
                .contains("line 2")
        );
        assert!(read(b"\xff\xfea\0").unwrap_err().contains("UTF-16"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_the_place_of_the_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("a.toml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = read_file(&pipe).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn what_is_larger_than_any_configuration_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        let error = read_file(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
