//! The account that the gateway logs in as, however its name is spelled.

use super::dn;

/// Whether a directory is given this name to log in by: that of an entry, `NAME@DOMAIN` or
/// `DOMAIN\NAME`. Active Directory takes others (MS-ADTS, section 5.1.1.1.1), by which log-ins of
/// one account could not be counted.
pub(super) fn is_name(name: &str) -> bool {
    entry(name).is_some() || (name.contains(['@', '\\']) && !name.contains('/'))
}

/// What the log-ins of an account are counted under. In the name of an entry the types of the
/// attributes do not count, for each has several names (RFC 4519); nor, in another, the domain.
pub(super) fn key(name: &str) -> String {
    let prepared = |value: &[u8]| data_encoding::HEXLOWER.encode(&dn::prepared(value));
    let Some(steps) = entry(name) else {
        return prepared(local(name).as_bytes());
    };
    let steps = steps.into_iter().map(|step| {
        let mut values: Vec<_> = step.iter().map(|(_, value)| prepared(value)).collect();
        values.sort_unstable();
        values.join("+")
    });
    steps.collect::<Vec<_>>().join(",")
}

/// The names in it by which an account may be protected.
pub(super) fn names(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned(), local(name).to_owned()];
    let first = entry(name).and_then(|steps| steps.into_iter().next());
    let values = first.into_iter().flatten();
    names.extend(values.map(|(_, value)| String::from_utf8_lossy(&value).into_owned()));
    names
}

fn entry(name: &str) -> Option<Vec<dn::Rdn>> {
    dn::parse(name).filter(|steps| !steps.is_empty())
}

/// A name to log in by, without its domain.
fn local(name: &str) -> &str {
    let name = name.rsplit_once('\\').map_or(name, |(_, name)| name);
    name.rsplit_once('@').map_or(name, |(name, _)| name).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_is_counted_once_however_it_is_spelled() {
        for (one, other) in [
            ("uid=ada,ou=people,dc=x", "UID = Ada , OU=People, dc=X"),
            ("uid=ada,ou=people,dc=x", "userid=ada,ou=people,dc=x"),
            (
                "uid=ada,ou=people,dc=x",
                "0.9.2342.19200300.100.1.1=\\61d\\61,2.5.4.11=people,dc=x",
            ),
            ("cn=a+uid=b,dc=x", "uid=b+cn=a,dc=x"),
            ("cn=a  b,dc=x", "cn=\"a b\";dc=x"),
            ("ada@example.com", "EXAMPLE\\Ada"),
            ("ada@example.com", "ADA@example"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        for (one, other) in [
            ("uid=ada,dc=x", "uid=ada,dc=y"),
            ("cn=a\\,b,dc=x", "cn=a,cn=b,dc=x"),
            ("ada@example.com", "eve@example.com"),
        ] {
            assert_ne!(key(one), key(other), "{one} {other}");
        }
    }

    #[test]
    fn it_has_every_name_by_which_it_may_be_protected() {
        for (name, part) in [
            ("cn=Root+uid=admin,dc=x", "admin"),
            ("cn=adm\\69n,dc=x", "admin"),
            ("admin@example.com", "admin"),
            ("EXAMPLE\\admin", "admin"),
        ] {
            assert!(names(name).iter().any(|one| one == part), "{name}");
        }
        for (name, allowed) in [
            ("cn=a,dc=x", true),
            ("a@example.com", true),
            ("EXAMPLE\\a", true),
            ("", false),
            ("ada", false),
            ("S-1-5-21-1-2-3-500", false),
            ("<GUID=03020100-0504-0706-0809-0a0b0c0d0e0f>", false),
            ("example.com/Users/ada", false),
            ("HTTP/host@example.com", false),
        ] {
            assert_eq!(is_name(name), allowed, "{name}");
        }
    }
}
