//! Rights to act as others that the host gives by name or by number: sudoers(5) and doas.conf(5).

use std::borrow::Cow;
use std::path::Path;

use super::belongings::Owned;
use super::database::Database;
use super::rule_files::{self, Unread};
use crate::model::Failure;

/// To whom a rule gives rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who<'a> {
    Account(&'a str),
    Group(&'a str),
    Uid(u32),
    Gid(u32),
}

impl<'a> Who<'a> {
    /// A word of a rule: `ada`, `%admins`, `:admins` (doas), `#1000` or `%#1000`.
    fn read(word: &'a str) -> Option<Self> {
        let number = |text: &str| text.parse().ok();
        if let Some(group) = word.strip_prefix(['%', ':']) {
            return match group.strip_prefix('#') {
                Some(gid) => number(gid).map(Self::Gid),
                None => Some(Self::Group(group)),
            };
        }
        match word.strip_prefix('#') {
            Some(uid) => number(uid).map(Self::Uid),
            None => Some(Self::Account(word)),
        }
    }
}

/// The lines that give rights to an account of this name, or to the group of its name that is made
/// with it.
pub(super) fn of_account(prefix: &Path, name: &str) -> Result<Vec<String>, Unread> {
    given(
        prefix,
        |who| matches!(who, Who::Account(given) | Who::Group(given) if given == name),
    )
}

/// Refuses a name or number for a new group that rules give rights to already: its members would
/// have them.
pub(super) fn inherited_by_no_group(
    prefix: &Path,
    name: &str,
    gid: Option<u32>,
) -> Result<(), Failure> {
    let found = given(prefix, |who| match who {
        Who::Group(given) => given == name,
        Who::Gid(number) => Some(number) == gid,
        Who::Account(_) | Who::Uid(_) => false,
    });
    let found = found.map_err(|unread| unknown(&unread))?;
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::rejected(format!(
        "the host gives rights to a group `{name}` or to its number, although there is none: {}. Members of a new one would get them: remove the rule first, or choose another name or number",
        found.join(", ")
    )))
}

/// The refusal of what might get rights that nobody can see.
pub(super) fn unknown(unread: &Unread) -> Failure {
    Failure::rejected(format!(
        "nobody can tell to whom the host gives rights, and a new account, group or name may have some already: {unread}. Mend that file, or the line that includes it"
    ))
}

/// Numbers that nobody has and to which rules give rights. A new account gets a group of its own
/// number, if that is free.
pub(super) fn of_numbers(prefix: &Path, database: &Database) -> Result<Vec<Owned>, Failure> {
    let mut found = Vec::new();
    each(prefix, |who, place| {
        let number = match who {
            Who::Uid(uid) => uid,
            Who::Gid(gid) if database.groups.iter().all(|group| group.gid != gid) => gid,
            Who::Gid(_) | Who::Account(_) | Who::Group(_) => return,
        };
        found.push(Owned {
            uid: number,
            gid: number,
            what: place.to_owned(),
        });
    })
    .map_err(|unread| unknown(&unread))?;
    Ok(found)
}

fn given(prefix: &Path, wanted: impl Fn(Who<'_>) -> bool) -> Result<Vec<String>, Unread> {
    let mut found: Vec<String> = Vec::new();
    each(prefix, |who, place| {
        if wanted(who) && found.last().is_none_or(|last| last != place) {
            found.push(place.to_owned());
        }
    })?;
    Ok(found)
}

/// Goes through all whom rules name, with the place of the rule.
fn each(prefix: &Path, mut found: impl FnMut(Who<'_>, &str)) -> Result<(), Unread> {
    for file in rule_files::read(prefix)? {
        for (line, number) in file.text.lines().zip(1..) {
            let place = format!("rights in `{}`, line {number}", file.path.display());
            named(&unescaped(line)).for_each(|who| found(who, &place));
        }
    }
    Ok(())
}

/// A line with its names as sudo reads them: `\x61\da` is `ada`. What stands for a character that
/// no name has becomes one that separates nothing.
fn unescaped(line: &str) -> Cow<'_, str> {
    let of_a_name = |c: char| match c.is_ascii_alphanumeric() || "_.-$".contains(c) {
        true => c,
        false => '?',
    };
    let Some((before, mut rest)) = line.split_once('\\') else {
        return line.into();
    };
    let mut plain = before.to_owned();
    loop {
        let digits = rest.strip_prefix(['x', 'X']).and_then(|it| it.get(..2));
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (meant, length) = match (code, rest.chars().next()) {
            (Some(code), _) => (char::from(code), 3),
            (None, Some(next)) => (next, next.len_utf8()),
            (None, None) => break,
        };
        plain.push(of_a_name(meant));
        rest = rest.get(length..).unwrap_or_default();
        let Some((before, after)) = rest.split_once('\\') else {
            break;
        };
        plain.push_str(before);
        rest = after;
    }
    plain.push_str(rest);
    plain.into()
}

/// Those whom a line names among those that it gives rights to: before the first `=` of a rule, or
/// in an alias of users.
fn named(line: &str) -> impl Iterator<Item = Who<'_>> {
    let line = without_comment(line).trim_start();
    let (keyword, rest) =
        line.split_at(line.find(|c: char| !is_of_keyword(c)).unwrap_or(line.len()));
    let blank = rest.starts_with(char::is_whitespace);
    let users = match keyword {
        "User_Alias" if blank => rest,
        "Host_Alias" | "Runas_Alias" | "Cmnd_Alias" | "Cmd_Alias" if blank => "",
        // Of some users, hosts, targets or commands, or of all.
        "Defaults" if blank || rest.starts_with([':', '@', '>', '!']) => "",
        _ => line.split('=').next().unwrap_or_default(),
    };
    users
        .split(|c: char| c.is_whitespace() || ",=!\"".contains(c))
        .flat_map(|word| {
            // A colon begins the next alias, or the name of a group.
            let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
            let end = rest.find(':').map_or(word.len(), |at| first.len() + at);
            let (word, next) = word.split_at(end);
            [word, next.trim_start_matches(':')]
        })
        .filter(|word| !word.is_empty())
        .filter_map(Who::read)
}

fn is_of_keyword(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// `#` begins a comment, unless digits follow it: that is a number, sudoers(5).
fn without_comment(line: &str) -> &str {
    let mut signs = line.match_indices('#');
    let end = signs.find(|(at, _)| {
        let next = line.as_bytes().get(at + 1);
        !next.is_some_and(u8::is_ascii_digit)
    });
    end.and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_for_whom_it_gives_rights() {
        let (ada, admins) = (Who::Account("ada"), Who::Group("admins"));
        for (line, who) in [
            ("ada ALL=(ALL) ALL", ada),
            ("bob, ada ALL = NOPASSWD: ALL", ada),
            (r"\x61\da ALL=(ALL) ALL", ada),
            (r"b\x3d\,c, \a\x64\x61 ALL=(ALL) ALL \", ada),
            ("User_Alias ADMINS = bob, ada", ada),
            ("User_Alias A = bob:B = ada", ada),
            ("permit nopass ada as root", ada),
            // What only looks like an alias of something else, or like settings.
            ("ada ALL=(ALL) /opt/Host_Alias", ada),
            ("ada, Cmnd_Alias ALL=(ALL) ALL", ada),
            ("Host_Alias_x, ada ALL=(ALL) ALL", ada),
            ("Host_Alias1, ada ALL=(ALL) ALL", ada),
            ("Defaults_of, ada ALL=(ALL) ALL", ada),
            ("Defaults1,ada ALL=(ALL) ALL", ada),
            ("User_Alias, ada ALL=(ALL) ALL", ada),
            ("%wheel,ada web1=(root) /bin/ls # why", ada),
            ("%admins ALL=(ALL) ALL", admins),
            ("bob,%admins ALL=ALL", admins),
            ("User_Alias A = bob, %admins", admins),
            ("permit nopass :admins", admins),
            ("#1007 ALL=(ALL) ALL", Who::Uid(1007)),
            ("bob, #1007 ALL=(ALL) ALL # why", Who::Uid(1007)),
            ("%#1007 ALL=(ALL) ALL", Who::Gid(1007)),
            ("  User_Alias A = %#1007", Who::Gid(1007)),
        ] {
            let line = unescaped(line);
            assert!(named(&line).any(|found| found == who), "{line}");
        }
        for line in [
            "# ada ALL=(ALL) ALL",
            "#ada ALL=(ALL) ALL",
            "adam ALL=(ALL) ALL",
            "%adam ALL=(ALL) ALL",
            "bob ALL=(ada) ALL",
            "bob ALL=(#1007) ALL",
            "Defaults:ada !lecture",
            "Defaults !lecture, ada",
            "Defaults@ada !lecture",
            "Host_Alias ada = 10.0.0.1",
            "  Cmnd_Alias\tLS = ada",
            "Runas_Alias OP = ada",
            "#10071 ALL=(ALL) ALL",
            "",
        ] {
            let gives = |who| matches!(who, Who::Account("ada") | Who::Uid(1007) | Who::Gid(1007));
            let line = unescaped(line);
            assert!(!named(&line).any(gives), "{line}");
        }
    }
}
