//! Files in the folder that nothing ever runs: whoever put one there thinks that something does.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Task;

/// Endings that editors, packages and people give to copies.
const COPIES: [&str; 8] = [
    "bak", "old", "orig", "save", "swp", "rej", "dpkg-old", "rpmsave",
];

/// A file that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Unused {
    file: PathBuf,
    why: String,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is never run: {}", self.file.display(), self.why)
    }
}

/// Those among `files` that no script is, or leads to. Folders and hidden files are let be.
pub(super) fn among<'a>(
    files: Vec<PathBuf>,
    scripts: impl Iterator<Item = &'a Path>,
) -> Vec<Unused> {
    let targets: Vec<_> = scripts
        .filter_map(|script| script.canonicalize().ok())
        .collect();
    let is_hidden = |file: &Path| {
        let name = file.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.starts_with('.'))
    };
    files
        .into_iter()
        .filter(|file| !is_hidden(file) && !file.is_dir() && !targets.contains(file))
        .map(|file| Unused {
            why: why(&file),
            file,
        })
        .collect()
}

fn why(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
    if ending.eq_ignore_ascii_case("ps1") && cfg!(windows) {
        return "a .ps1 script needs `powershell` in the configuration".to_owned();
    }
    if name.ends_with('~') || COPIES.contains(&ending.to_ascii_lowercase().as_str()) {
        return "it looks like a copy; move it out of the folder".to_owned();
    }
    if !ending.is_empty() && Task::from_stem(stem).is_some() && cfg!(unix) {
        return format!("a script's name has no ending here; call it `{stem}`");
    }
    if Task::from_stem(&name.to_ascii_lowercase()).is_some()
        || Task::from_stem(&name.replace('_', "-").to_ascii_lowercase()).is_some()
    {
        let right = name.replace('_', "-").to_ascii_lowercase();
        return format!("names are spelled with small letters and hyphens; call it `{right}`");
    }
    "its name is neither that of a verb nor `run-` and that of an action".to_owned()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_run_is_told_with_what_to_do() {
        for (name, said) in [
            ("get.sh", "call it `get`"),
            ("run-report.py", "call it `run-report`"),
            ("get.bak", "a copy"),
            ("create~", "a copy"),
            ("set_password", "call it `set-password`"),
            ("Get", "call it `get`"),
            ("run", "neither that of a verb"),
            ("fetch", "neither that of a verb"),
        ] {
            let file = Path::new("/scripts").join(name);
            let found = among(vec![file], std::iter::empty());
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), 1, "{name}");
            assert!(found[0].contains(said), "{found:?}");
        }
    }
}
