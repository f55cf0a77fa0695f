//! Which folder may become an account's home, and which may go with it.
//!
//! | what is there | a new account, another `home` | the account goes, `remove_home` |
//! | --- | --- | --- |
//! | nothing | taken | |
//! | a folder of root, empty | a new account: made anew | left |
//! | a folder of the account's own uid | taken | removed |
//! | a folder of somebody else | rejected | left |
//! | a link, a file | rejected | left |
//! | something is mounted at it or in it | rejected | left |
//! | it is, or holds, another account's home | rejected | left |

use std::path::Path;

use super::database::{Account, Database};
use super::policy::{NO_HOME, Policy};
use super::rooted::{Folder, make_again, mounted_in};
use crate::model::Failure;

/// A home that an account may have.
#[derive(Debug)]
pub(super) enum Home {
    /// Nothing is there.
    Free,
    /// A folder of the account is there.
    Own,
    /// An empty folder of root is there.
    Empty(Empty),
}

/// An empty folder, and the one that it lies in.
#[derive(Debug)]
pub(super) struct Empty {
    parent: Folder,
    name: String,
    mode: u32,
}

impl Empty {
    /// Removes it, so that `useradd` makes it with all that a home has.
    pub(super) fn remove(&self, home: &str) -> Result<(), Failure> {
        self.parent.remove_folder(&self.name).map_err(|error| {
            Failure::rejected(format!(
                "`{home}` is an empty folder of root, and cannot be made anew as a home: {error}"
            ))
        })
    }

    /// Takes [`Self::remove`] back.
    pub(super) fn make_again(&self) {
        make_again(&self.parent, &self.name, self.mode);
    }
}

/// What is found where a home is to be.
enum There {
    Nothing,
    /// No folder, or one that is in use otherwise; the end of a sentence.
    Unfit(String),
    Folder {
        uid: u32,
        empty: Option<Empty>,
    },
}

impl Policy {
    /// Judges a home that an account of the uid `uid` is to get; without a uid, an account that
    /// gets one which nobody has.
    pub(super) fn judge_home(
        &self,
        database: &Database,
        home: &str,
        uid: Option<u32>,
    ) -> Result<Home, Failure> {
        if home == NO_HOME {
            return Ok(Home::Free);
        }
        match self.there(home) {
            There::Nothing => Ok(Home::Free),
            There::Unfit(why) => Err(Failure::rejected(format!(
                "`{home}` cannot be a home directory: {why}"
            ))),
            There::Folder { uid: owner, .. } if Some(owner) == uid => Ok(Home::Own),
            There::Folder {
                empty: Some(empty), ..
            } => Ok(Home::Empty(empty)),
            There::Folder { uid: owner, .. } => {
                let named = database.accounts.iter().find(|a| a.uid == owner);
                let named = named.map_or_else(String::new, |a| format!(" (`{}`)", a.name));
                let with_uid = match (uid, named.as_str()) {
                    (None, "") => format!(", or create the account with the uid {owner}"),
                    _ => String::new(),
                };
                Err(Failure::rejected(format!(
                    "`{home}` is there already and belongs to the uid {owner}{named}: move it away, or give another `home`{with_uid}"
                )))
            }
        }
    }

    /// Whether the home of an account may be removed with it; otherwise why it is left, where there
    /// is one.
    pub(super) fn may_remove_home(
        &self,
        database: &Database,
        account: &Account,
    ) -> Result<bool, String> {
        let home = account.home.as_str();
        if home == NO_HOME {
            return Ok(false);
        }
        let left = |why: &str| Err(format!("the home directory `{home}` was left: {why}"));
        if !self.is_in_base(home) {
            let base = self.home_base.display();
            return left(&format!("it does not lie directly in {base}"));
        }
        if let Some(other) = shares(database, &account.name, home) {
            let other = &other.name;
            return left(&format!("it is, or holds, the home of account `{other}`"));
        }
        match self.there(home) {
            There::Nothing => Ok(false),
            There::Unfit(why) => left(&why),
            There::Folder { uid, .. } if uid != account.uid => {
                left(&format!("it belongs to the uid {uid}"))
            }
            There::Folder { .. } => Ok(true),
        }
    }

    fn there(&self, home: &str) -> There {
        let path = Path::new(home);
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(parent), Some(name)) = (path.parent(), name) else {
            return There::Unfit("it is the root folder".to_owned());
        };
        let Some(parent) = Folder::open(&self.prefix, parent) else {
            return There::Nothing;
        };
        let Some(found) = parent.stat(name) else {
            return There::Nothing;
        };
        match found.st_mode & FILE_TYPE {
            FOLDER => {}
            LINK => {
                let to = parent.link(name);
                return There::Unfit(format!("it is a symbolic link to `{to}`"));
            }
            _ => return There::Unfit("it is no folder".to_owned()),
        }
        let real = parent.real_path().map(|path| path.join(name));
        if let Some(mount) = real.and_then(|path| mounted_in(&path)) {
            let mount = mount.display();
            return There::Unfit(format!("something is mounted at {mount}"));
        }
        let inside = Folder::open(&self.prefix, path);
        let is_empty = inside.is_some_and(|folder| folder.names().is_empty());
        There::Folder {
            uid: found.st_uid,
            empty: (found.st_uid == 0 && is_empty).then(|| Empty {
                mode: found.st_mode,
                name: name.to_owned(),
                parent,
            }),
        }
    }
}

/// The bits of a mode that say what it is of, inode(7).
const FILE_TYPE: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// Another account whose home this is, or lies in this, however it is spelled.
pub(super) fn shares<'a>(database: &'a Database, owner: &str, home: &str) -> Option<&'a Account> {
    let others = database.accounts.iter().filter(|a| a.name != owner);
    let mut others = others.filter(|a| a.home != NO_HOME);
    others.find(|account| Path::new(&account.home).starts_with(home))
}
