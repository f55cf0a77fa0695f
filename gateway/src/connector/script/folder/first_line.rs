//! Why the kernel would not start a file, read from its beginning as execve(2) does.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use crate::connector::process::printable;

/// What the kernel reads of a file to find out how to start it (`BINPRM_BUF_SIZE` since Linux 5.1).
const HEAD: usize = 256;
/// How many interpreters that are scripts themselves it goes through.
const DEEPEST: usize = 4;
/// More than the program headers of any sound program lie from its beginning.
const MAX_HEADERS: u64 = 64 * 1024;

/// What keeps `file` from being started, in words that follow its path; `search_path` is where
/// `env` looks for programs.
pub(super) fn obstacle(file: &Path, search_path: &OsStr) -> Option<String> {
    obstacle_at(file, search_path, 0)
}

fn obstacle_at(file: &Path, search_path: &OsStr, depth: usize) -> Option<String> {
    if !file.is_file() {
        return Some("is no regular file".to_owned());
    }
    if access(file, Access::EXEC_OK).is_err() {
        let noexec =
            statvfs(file).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::NOEXEC));
        return Some(if noexec {
            "lies on a file system that is mounted noexec: move it, or mount that with exec"
                .to_owned()
        } else {
            "cannot be executed: `chmod u+x` it, or remove it".to_owned()
        });
    }
    // One that may be run but not read says nothing.
    let head = read_head(file)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        return script(file, line, head.len() == HEAD, search_path, depth);
    }
    if head.starts_with(b"\x7fELF") {
        return program(file, &head);
    }
    no_first_line(&head)
}

fn read_head(file: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    let file = File::open(file).ok()?;
    file.take(HEAD as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

/// A file that says by nothing what starts it.
fn no_first_line(head: &[u8]) -> Option<String> {
    if head.is_empty() {
        return Some("is empty".to_owned());
    }
    if let Some(rest) = head.strip_prefix(b"\xef\xbb\xbf") {
        let before = if rest.starts_with(b"#!") {
            " before its `#!`"
        } else {
            " and has no `#!` line"
        };
        return Some(format!(
            "begins with a byte order mark{before}: save it as UTF-8 without one"
        ));
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some("is UTF-16 text: save it as UTF-8 without a byte order mark".to_owned());
    }
    if others_start_files() {
        return None;
    }
    if head.trim_ascii_start().starts_with(b"#!") {
        return Some(
            "has blanks or empty lines before its `#!`: it has to begin with it".to_owned(),
        );
    }
    Some(
        "has no `#!` line that says what runs it, such as `#!/bin/sh`, and is no program of this system"
            .to_owned(),
    )
}

/// `line` is what follows `#!`, cut off where the kernel reads no further.
fn script(
    file: &Path,
    line: &[u8],
    is_cut: bool,
    search_path: &OsStr,
    depth: usize,
) -> Option<String> {
    let end = line.iter().position(|byte| *byte == b'\n');
    if end.is_none() && is_cut {
        return Some(format!(
            "has a first line of more than {} bytes, which is all that the kernel reads of it",
            HEAD - 1
        ));
    }
    let line = line.get(..end.unwrap_or(line.len())).unwrap_or(line);
    if line.ends_with(b"\r") {
        let asked = String::from_utf8_lossy(line);
        let asked = asked.trim().escape_default().to_string();
        return Some(format!(
            "has Windows line ends: its first line asks for `{asked}\\r`; save it with LF alone"
        ));
    }
    let mut words = line
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    let Some(interpreter) = words.next() else {
        return Some("has a first line that names no program behind its `#!`".to_owned());
    };
    let asks = format!("asks for `{}` by its first line", printable(interpreter));
    // A path that is not absolute is looked for where the script runs: in its folder.
    let folder = file.parent().unwrap_or(Path::new("/"));
    let interpreter = folder.join(OsStr::from_bytes(interpreter));
    if let Err(error) = interpreter.metadata() {
        return Some(match error.kind() {
            std::io::ErrorKind::NotFound => format!("{asks}, which is not there"),
            _ => format!("{asks}, which cannot be looked at: {error}"),
        });
    }
    if depth >= DEEPEST {
        return Some(format!("{asks}, a script itself, and so on too often"));
    }
    if let Some(what) = obstacle_at(&interpreter, search_path, depth + 1) {
        return Some(format!("{asks}, which {what}"));
    }
    if interpreter.file_name() == Some(OsStr::new("env")) {
        return missing_for_env(words.next()?, search_path);
    }
    None
}

/// env(1) looks for the program of its first argument. Options and variables before it are let be.
fn missing_for_env(name: &[u8], search_path: &OsStr) -> Option<String> {
    if name.starts_with(b"-") || name.contains(&b'=') || name.contains(&b'/') {
        return None;
    }
    let program = OsStr::from_bytes(name);
    let found = std::env::split_paths(search_path)
        .map(|folder| folder.join(program))
        .any(|path| path.is_file() && access(&path, Access::EXEC_OK).is_ok());
    (!found).then(|| {
        format!(
            "asks for `{}` by its first line, which is in no folder of the scripts' PATH ({})",
            printable(name),
            search_path.display()
        )
    })
}

/// A compiled program of another machine, or one whose loader is not there. elf(5).
fn program(file: &Path, head: &[u8]) -> Option<String> {
    let number = |at: usize| Some(u16::from_le_bytes([*head.get(at)?, *head.get(at + 1)?]));
    let is_little = head.get(5) == Some(&1);
    let own = own_machines();
    let machine = number(18).filter(|_| is_little);
    if !own.is_empty() && !machine.is_some_and(|machine| own.contains(&machine)) {
        if others_start_files() {
            return None;
        }
        let machine = machine.map_or_else(
            || "a processor of the other byte order".to_owned(),
            |machine| format!("another kind of processor (ELF machine {machine})"),
        );
        return Some(format!("is a program for {machine}"));
    }
    let loader = loader(file)?;
    let missing = !Path::new(OsStr::from_bytes(&loader)).exists();
    missing.then(|| {
        format!(
            "is a program that needs the loader {}, which is not there: it was built for another system",
            printable(&loader)
        )
    })
}

/// ELF machines whose programs this kernel starts; empty: unknown.
fn own_machines() -> &'static [u16] {
    match std::env::consts::ARCH {
        "x86_64" => &[62, 3],
        "aarch64" => &[183, 40],
        _ => &[],
    }
}

/// The loader of a program of 64 bits that has one.
fn loader(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let source = File::open(file).ok()?;
    source.take(MAX_HEADERS).read_to_end(&mut bytes).ok()?;
    if bytes.get(4) != Some(&2) {
        return None;
    }
    let field = |at: usize, length: usize| -> Option<usize> {
        let end = at.checked_add(length)?;
        let field = bytes.get(at..end)?.iter().rev();
        let number = field.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).ok()
    };
    let (start, size, count) = (field(32, 8)?, field(54, 2)?, field(56, 2)?);
    let headers = (0..count).filter_map(|index| start.checked_add(index.checked_mul(size)?));
    for header in headers {
        // PT_INTERP
        if field(header, 4) == Some(3) {
            let (at, length) = (field(header + 8, 8)?, field(header + 32, 8)?);
            let name = bytes.get(at..at.checked_add(length)?)?;
            return Some(name.strip_suffix(b"\0").unwrap_or(name).to_vec());
        }
    }
    None
}

/// Whether the administrator has named other programs that start files, by binfmt_misc.
fn others_start_files() -> bool {
    let entries = Path::new("/proc/sys/fs/binfmt_misc").read_dir();
    entries.is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| !matches!(entry.file_name().to_str(), Some("register" | "status")))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn look(name: &str, content: &[u8], mode: u32) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        obstacle(&file, OsStr::new("/usr/bin:/bin"))
    }

    #[test]
    fn what_the_kernel_would_not_start_is_told_with_its_cause() {
        let long = [b"#!/".as_slice(), &[b'x'; 300], b"\n"].concat();
        let mut foreign = fs::read("/bin/sh").unwrap();
        // SPARC
        foreign[18] = 2;
        let mut lost = fs::read("/bin/sh").unwrap();
        let at = lost.windows(4).position(|bytes| bytes == b"/lib").unwrap();
        lost[at + 1] = b'X';
        for (content, said) in [
            (b"#!/bin/sh\r\necho\r\n".as_slice(), r"asks for `/bin/sh\r`"),
            (b"#!/bin/sh -e\r\necho\r\n", "Windows line ends"),
            (
                b"#!/opt/nope/python\n",
                "`/opt/nope/python` by its first line, which is not there",
            ),
            (
                b"#!/etc\n",
                "`/etc` by its first line, which is no regular file",
            ),
            (b"#!/etc/passwd\n", "which cannot be executed"),
            (
                b"#!/usr/bin/env nope-python\n",
                "`nope-python` by its first line, which is in no folder",
            ),
            (b"#!\necho\n", "names no program"),
            (b"#! \t", "names no program"),
            (&long, "more than 255 bytes"),
            (
                b"\xef\xbb\xbf#!/bin/sh\n",
                "byte order mark before its `#!`",
            ),
            (b"\xff\xfe#\0!\0", "UTF-16"),
            (b"", "is empty"),
            (&lost, "which is not there: it was built for another system"),
        ] {
            let found = look("get", content, 0o755).unwrap_or_default();
            assert!(found.contains(said), "{said}: {found}");
        }
        for (content, said) in [
            (b"echo\n".as_slice(), "has no `#!` line"),
            (b"\n#!/bin/sh\n", "empty lines before its `#!`"),
            (&foreign, "another kind of processor"),
        ] {
            let found = look("get", content, 0o755).unwrap_or_default();
            assert!(
                others_start_files() || found.contains(said),
                "{said}: {found}"
            );
        }
        let found = look("get", b"#!/bin/sh\n", 0o644).unwrap();
        assert!(found.contains("chmod u+x"), "{found}");
    }

    #[test]
    fn what_it_starts_is_let_be() {
        let program = fs::read("/bin/sh").unwrap();
        for content in [
            b"#!/bin/sh\necho\n".as_slice(),
            b"#! /bin/sh -e",
            b"#!/usr/bin/env sh\n",
            b"#!/usr/bin/env -S sh -e\n",
            &program,
        ] {
            assert_eq!(look("get", content, 0o755), None);
        }
    }
}
