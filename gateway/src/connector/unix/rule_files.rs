//! The files of the rules that give rights: sudoers(5) with all that it includes, and doas.conf(5).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::rooted::{Folder, open_file};

/// Where sudo begins to read: the host's own file, that of its distribution, that of sudo-rs, and
/// the usual folder, whether or not one of them includes it.
const FILES: [&str; 3] = ["/etc/sudoers", "/usr/etc/sudoers", "/etc/sudoers-rs"];
const FOLDER: &str = "/etc/sudoers.d";
const DOAS: &str = "/etc/doas.conf";

/// As deep as sudo goes, sudoers(5).
const DEPTH: usize = 128;
/// So many files, and bytes of all of them, are read at most.
const COUNT: usize = 4096;
const BYTES: u64 = 16 << 20;

/// A file of rules.
#[derive(Debug)]
pub(super) struct RuleFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Why nobody can tell what rules there are.
#[derive(Debug)]
pub(super) struct Unread {
    path: PathBuf,
    why: String,
}

impl Unread {
    fn new(path: &Path, why: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

impl Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path.display(), self.why)
    }
}

/// Reads all files of rules below `prefix`. One that is not there gives no rights; one that cannot
/// be read may give any, and so may those that include one another in a circle, or deeper than sudo
/// goes: what it makes of them, nobody knows.
pub(super) fn read(prefix: &Path) -> Result<Vec<RuleFile>, Unread> {
    let mut reader = Reader {
        prefix,
        seen: HashMap::new(),
        files: Vec::new(),
        left: BYTES,
        to_read: Vec::new(),
    };
    for file in FILES {
        reader.to_read.push((Named::File(file.into()), 0));
    }
    reader.to_read.push((Named::Folder(FOLDER.into()), 0));
    while let Some((named, depth)) = reader.to_read.pop() {
        match named {
            Named::File(path) => reader.file(path, depth, true)?,
            Named::Folder(path) => reader.folder(&path, depth)?,
        }
    }
    // It includes nothing.
    reader.file(DOAS.into(), DEPTH, true)?;
    Ok(reader.files)
}

/// What a line includes.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    File(PathBuf),
    Folder(PathBuf),
}

impl Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::File(path) | Self::Folder(path)) = self;
        write!(f, "`{}`", path.display())
    }
}

#[derive(Debug)]
struct Reader<'a> {
    prefix: &'a Path,
    /// By device and inode, what was read.
    seen: HashMap<(u64, u64), Seen>,
    files: Vec<RuleFile>,
    /// Bytes that may still be read.
    left: u64,
    /// What was included and not yet read, and how deep it lies.
    to_read: Vec<(Named, usize)>,
}

/// A file that was read.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Its place among the files.
    place: usize,
    /// The deepest at which it was included.
    depth: usize,
}

impl Reader<'_> {
    /// Reads a file and sees what it includes. What is no regular file, sudo refuses where it was
    /// `named`, and passes over where it lies in a folder.
    fn file(&mut self, path: PathBuf, depth: usize, named: bool) -> Result<(), Unread> {
        let failed = |error: io::Error| Unread::new(&path, format!("cannot be read: {error}"));
        let file = match open_file(self.prefix, &path) {
            Err(error) if is_absent(&error) => return Ok(()),
            opened => opened.map_err(failed)?,
        };
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() {
            return match named {
                true => Err(Unread::new(&path, "is no regular file")),
                false => Ok(()),
            };
        }
        let identity = (found.dev(), found.ino());
        if let Some(seen) = self.seen.get_mut(&identity) {
            // What it includes lies deeper by this way: in a circle, ever deeper.
            let deeper = seen.depth < depth && depth < DEPTH;
            let place = deeper.then_some(seen.place);
            seen.depth = seen.depth.max(depth);
            let text = place.and_then(|place| Some(self.files.get(place)?.text.clone()));
            return text.map_or(Ok(()), |text| self.includes(&path, &text, depth + 1));
        }
        let mut bytes = Vec::new();
        let read = file.take(self.left + 1).read_to_end(&mut bytes);
        let read = read.map_err(failed)? as u64;
        if read > self.left || self.files.len() == COUNT {
            return Err(Unread::new(&path, "is beyond what is read of such files"));
        }
        self.left -= read;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if depth < DEPTH {
            self.includes(&path, &text, depth + 1)?;
        }
        let place = self.files.len();
        self.seen.insert(identity, Seen { place, depth });
        self.files.push(RuleFile { path, text });
        Ok(())
    }

    fn includes(&mut self, path: &Path, text: &str, depth: usize) -> Result<(), Unread> {
        for (line, number) in text.lines().zip(1..) {
            let Some(directive) = Directive::read(line) else {
                continue;
            };
            let named = directive.named(path).ok_or_else(|| {
                Unread::new(path, format!("includes in line {number} what has no name"))
            })?;
            if depth == DEPTH {
                let why = format!(
                    "includes in line {number} {named}, and more than {DEPTH} include one another, perhaps in a circle"
                );
                return Err(Unread::new(path, why));
            }
            self.to_read.push((named, depth));
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path, depth: usize) -> Result<(), Unread> {
        let failed = |error: io::Error| Unread::new(path, format!("cannot be read: {error}"));
        let folder = match Folder::try_open(self.prefix, path) {
            Err(error) if is_absent(&error) => return Ok(()),
            opened => opened.map_err(failed)?,
        };
        for name in folder.all_names().map_err(failed)? {
            if is_read_in_a_folder(&name) {
                self.file(path.join(name), depth, false)?;
            }
        }
        Ok(())
    }
}

/// sudo leaves out what has a dot or ends with `~`, sudoers(5).
fn is_read_in_a_folder(name: &OsStr) -> bool {
    let name = name.as_bytes();
    !name.contains(&b'.') && !name.ends_with(b"~")
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A line that includes a file, or the files of a folder, by the text that follows.
#[derive(Debug)]
struct Directive<'a> {
    folder: bool,
    text: &'a str,
}

impl<'a> Directive<'a> {
    /// `@include`, `@includedir`, and both with `#`, as they were written before sudo 1.9.1.
    fn read(line: &'a str) -> Option<Self> {
        let name = line.trim_start().strip_prefix(['@', '#'])?;
        let rest = name.strip_prefix("include")?;
        let (folder, text) = match rest.strip_prefix("dir") {
            Some(text) => (true, text),
            None => (false, rest),
        };
        let ends = text.is_empty() || text.starts_with([' ', '\t', '"', '\\']);
        ends.then_some(Self { folder, text })
    }

    /// What it includes into the file `from`: a relative path begins at the folder of that.
    /// `None` where it names nothing that can be found here.
    fn named(&self, from: &Path) -> Option<Named> {
        let path = self.path()?;
        // What is no UTF-8 was replaced.
        if path.is_empty() || path.contains(char::REPLACEMENT_CHARACTER) {
            return None;
        }
        let path = path.replace("%h", &short_host_name());
        let path = from.parent().unwrap_or(Path::new("/")).join(path);
        Some(match self.folder {
            true => Named::Folder(path),
            false => Named::File(path),
        })
    }

    /// The path as it is meant: in quotation marks, or up to a blank that has no backslash.
    fn path(&self) -> Option<String> {
        let text = self.text.trim_start();
        let (text, end): (_, fn(char) -> bool) = match text.strip_prefix('"') {
            Some(text) => (text, |c| c == '"'),
            None => (text, char::is_whitespace),
        };
        let mut path = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => path.push(characters.next()?),
                _ if end(character) => break,
                _ => path.push(character),
            }
        }
        Some(path)
    }
}

/// The host's name up to its first dot, which `%h` stands for.
fn short_host_name() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// The paths that are read below a prefix with these files.
    fn paths(prefix: &Path) -> Result<Vec<String>, String> {
        let read = read(prefix).map_err(|unread| unread.to_string())?;
        let mut paths: Vec<_> = read
            .iter()
            .map(|file| file.path.display().to_string())
            .collect();
        paths.sort();
        Ok(paths)
    }

    fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let prefix = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = prefix.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        prefix
    }

    #[test]
    fn a_line_includes_what_sudo_reads_in_it() {
        let file = |path: &str| Some(Some(Named::File(path.into())));
        let folder = |path: &str| Some(Some(Named::Folder(path.into())));
        let host = format!("/etc/sudoers.{}", short_host_name());
        for (line, named) in [
            ("@include /etc/a", file("/etc/a")),
            ("#include /etc/a # why", file("/etc/a")),
            ("  @include\tlocal", file("/etc/local")),
            ("@include \"/etc/my file\"", file("/etc/my file")),
            (r"@include /etc/my\ file", file("/etc/my file")),
            ("@include /etc/sudoers.%h", file(&host)),
            ("@includedir /etc/d", folder("/etc/d")),
            ("#includedir sudoers.d\r", folder("/etc/sudoers.d")),
            ("@include", Some(None)),
            (r"@include \", Some(None)),
            ("#included /etc/a", None),
            ("# include /etc/a", None),
            ("@includes /etc/a", None),
            ("include /etc/a", None),
        ] {
            let found = Directive::read(line).map(|it| it.named(Path::new("/etc/sudoers")));
            assert_eq!(found, named, "{line}");
        }
    }

    #[test]
    fn all_that_is_included_is_read_once() {
        let prefix = with(&[
            ("etc/sudoers", "@include local\n#includedir /etc/more\n"),
            ("etc/local", "@include sub/one\n@include sub/two\n"),
            ("etc/sub/one", "@include two\n@include nowhere\n"),
            ("etc/sub/two", "#include /etc/../etc/more/10-a\n"),
            ("etc/more/10-a", ""),
            ("etc/more/with.dot", ""),
            ("etc/more/old~", ""),
            ("etc/more/folder/deep", ""),
            ("etc/sudoers.d/usual", ""),
            ("usr/etc/sudoers", ""),
            ("etc/doas.conf", "#include /etc/with-doas\n"),
            ("etc/with-doas", ""),
        ]);
        let expected = [
            "/etc/doas.conf",
            "/etc/local",
            "/etc/more/10-a",
            "/etc/sub/one",
            "/etc/sub/two",
            "/etc/sudoers",
            "/etc/sudoers.d/usual",
            "/usr/etc/sudoers",
        ];
        assert_eq!(paths(prefix.path()).unwrap(), expected);
        assert!(paths(&prefix.path().join("nowhere")).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_read_to_its_end_is_told() {
        let loops = with(&[("etc/sudoers", "@include a\n"), ("etc/a", "")]);
        let link = loops.path().join("etc/a");
        fs::remove_file(&link).unwrap();
        symlink("a", &link).unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        let elsewhere = with(&[("etc/sudoers", "@include a\n")]);
        symlink(outside.path(), elsewhere.path().join("etc/a")).unwrap();
        // A path is one within the root, whatever it says.
        assert_eq!(paths(elsewhere.path()).unwrap(), ["/etc/sudoers"]);
        let folder = with(&[("etc/sudoers", "@include a\n"), ("etc/a/b", "")]);
        let nameless = with(&[("etc/sudoers", "ada ALL=ALL\n@include\n")]);
        let large = with(&[("etc/sudoers.d/large", "")]);
        let file = fs::File::create(large.path().join("etc/sudoers.d/large")).unwrap();
        file.set_len(BYTES + 1).unwrap();
        let mut deep = vec![("etc/sudoers".to_owned(), "@include a1\n".to_owned())];
        deep.extend((1..=DEPTH).map(|n| (format!("etc/a{n}"), format!("@include a{}\n", n + 1))));
        let deep: Vec<_> = deep.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let itself = with(&[("etc/sudoers", "\n@include sudoers\n")]);
        let circle = with(&[
            ("etc/sudoers", "@includedir sudoers.d\n"),
            ("etc/sudoers.d/a", "@include ../b\n"),
            ("etc/b", "ada ALL=ALL\n@include /etc/sudoers.d/a\n"),
        ]);
        // What lies deep by one way was read before by a short one.
        let mut two_ways = vec![
            (
                "etc/sudoers".to_owned(),
                "@include a1\n@include x1\n".to_owned(),
            ),
            (format!("etc/a{}", DEPTH - 3), "@include x1\n".to_owned()),
            ("etc/x1".to_owned(), "@include x2\n".to_owned()),
            ("etc/x2".to_owned(), "@include x3\n".to_owned()),
            ("etc/x3".to_owned(), String::new()),
        ];
        two_ways.extend(
            (1..DEPTH - 3).map(|n| (format!("etc/a{n}"), format!("@include a{}\n", n + 1))),
        );
        let two_ways: Vec<_> = two_ways
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        for (prefix, said) in [
            (
                itself,
                "`/etc/sudoers` includes in line 2 `/etc/sudoers`, and",
            ),
            (circle, "includes in line"),
            (
                with(&two_ways),
                "`/etc/x2` includes in line 1 `/etc/x3`, and",
            ),
            (loops, "`/etc/a` cannot be read"),
            (folder, "`/etc/a` is no regular file"),
            (nameless, "`/etc/sudoers` includes in line 2"),
            (large, "`/etc/sudoers.d/large` is beyond"),
            (with(&deep), "includes in line 1"),
        ] {
            let unread = paths(prefix.path()).unwrap_err();
            assert!(unread.contains(said), "{unread}");
        }
    }
}
