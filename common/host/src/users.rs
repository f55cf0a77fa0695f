//! Users of this host, by `/etc/passwd` alone: services run as users that stand there.

use std::io;
use std::path::Path;

/// The file of users.
const FILE: &str = "/etc/passwd";

/// A user, as far as a process runs as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
}

/// The user of this name. A number is that user, with the group of the same number where no line
/// names another.
///
/// # Errors
/// A sentence that says why there is none.
pub fn find(name: &str) -> Result<User, String> {
    let text = read(Path::new(FILE)).map_err(|error| format!("cannot read {FILE}: {error}"))?;
    named(&text, name).ok_or_else(|| format!("there is no user `{name}` in {FILE}"))
}

/// The name of this user; `None`: no line has it.
pub fn name_of(uid: u32) -> Option<String> {
    numbered(&read(Path::new(FILE)).ok()?, uid)
}

fn read(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

fn named(text: &str, name: &str) -> Option<User> {
    let number = name.parse::<u32>().ok();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let own = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (own == name || number == Some(uid)).then_some(User { uid, gid })
    });
    found.or_else(|| number.map(|uid| User { uid, gid: uid }))
}

fn numbered(text: &str, uid: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let own: u32 = rest.split(':').nth(1)?.parse().ok()?;
        (own == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_or_number() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# none\nada:x:1001:100::/home/ada:\nbad:x:y:1\n";
        for (name, expected) in [
            ("root", Some((0, 0))),
            ("ada", Some((1001, 100))),
            ("1001", Some((1001, 100))),
            ("4711", Some((4711, 4711))),
            ("bad", None),
            ("", None),
            ("# none", None),
        ] {
            let found = named(text, name).map(|user| (user.uid, user.gid));
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(numbered(text, 1001).as_deref(), Some("ada"));
        assert_eq!(numbered(text, 4711), None);
    }
}
