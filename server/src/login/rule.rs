//! Which group of modules somebody is asked by: the first whose rule holds.
//!
//! A rule is text with blanks between its conditions, of which all hold: `from:10.0.0.0/8
//! days:mon-fri`. Of one kind there may be several, of which one holds. It looks at facts of the
//! connection and at the time, in UTC; it cannot fail, and has no effect.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use portcullis_common::rotation::UnixMillis;

use crate::access::{Address, PeerFacts};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY: u16 = 24 * 60;
/// Conditions of a rule at most.
const MAX_CONDITIONS: usize = 64;

/// When a group is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule(Vec<Condition>);

/// A condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// `host`: over the server's Unix socket.
    Host,
    /// `from:10.0.0.0/8`: from this network.
    From { network: IpAddr, prefix: u8 },
    /// `days:mon-fri`: on these days, counted from Monday.
    Days { first: u8, last: u8 },
    /// `between:08:00-18:00`: from the first minute on, before the second one; over midnight where
    /// that is the earlier.
    Between { from: u16, to: u16 },
    /// `server-name:people.example`: over TLS, to this name.
    ServerName(String),
    /// `certificate`: over TLS, with a certificate.
    Certificate,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The connection.
    pub peer: &'a PeerFacts,
    /// The time.
    pub now: UnixMillis,
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A condition makes no sense.
    #[error(
        "`{0}` is no condition of a rule: give host, from:NETWORK/BITS, days:mon-fri, between:08:00-18:00 (UTC), server-name:NAME or certificate, with blanks between them"
    )]
    Condition(String),
    /// There is none, or there are too many.
    #[error("a rule has 1 to {MAX_CONDITIONS} conditions")]
    Number,
}

/// Why groups cannot be asked in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is none.
    #[error("an application has at least one group")]
    Empty,
    /// One without a rule is not the last one.
    #[error(
        "a group without a rule is asked in any case: it has to be the last one, and the only such one"
    )]
    NotLast,
}

/// The group that is asked: the first whose rule holds, or that has none. `None`: none is.
pub fn choose<'a, T>(groups: &'a [(T, Option<Rule>)], seen: Seen<'_>) -> Option<&'a T> {
    let asked = |rule: &Option<Rule>| rule.as_ref().is_none_or(|rule| rule.holds(seen));
    let found = groups.iter().find(|(_, rule)| asked(rule));
    found.map(|(group, _)| group)
}

/// Whether groups can be asked in this order; true: it has a rule.
///
/// # Errors
/// [`OrderError`].
pub fn check_order(have_rules: &[bool]) -> Result<(), OrderError> {
    match have_rules {
        [] => Err(OrderError::Empty),
        [before @ .., _] if before.iter().all(|has| *has) => Ok(()),
        _ => Err(OrderError::NotLast),
    }
}

impl Rule {
    /// Whether all of its conditions hold, of each kind one.
    pub fn holds(&self, seen: Seen<'_>) -> bool {
        self.0.iter().all(|one| {
            let same =
                |other: &&Condition| std::mem::discriminant(*other) == std::mem::discriminant(one);
            let mut alike = self.0.iter().filter(same);
            alike.any(|other| other.holds(seen))
        })
    }
}

impl Condition {
    fn holds(&self, seen: Seen<'_>) -> bool {
        let tls = seen.peer.tls.as_ref();
        match self {
            Self::Host => matches!(seen.peer.address, Address::Host(_)),
            Self::From { network, prefix } => match &seen.peer.address {
                Address::Network(address) => is_in(address.to_canonical(), *network, *prefix),
                Address::Host(_) | Address::Unknown => false,
            },
            Self::Days { first, last } => {
                let day = day_of_week(seen.now);
                match first <= last {
                    true => (*first..=*last).contains(&day),
                    false => day >= *first || day <= *last,
                }
            }
            Self::Between { from, to } => {
                let minute = minute_of_day(seen.now);
                match from <= to {
                    true => (*from..*to).contains(&minute),
                    false => minute >= *from || minute < *to,
                }
            }
            Self::ServerName(name) => {
                let to = tls.and_then(|tls| tls.server_name.as_deref());
                to.is_some_and(|to| to.eq_ignore_ascii_case(name))
            }
            Self::Certificate => tls.is_some_and(|tls| tls.certificate),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        Some(match (kind, value) {
            ("host", "") => Self::Host,
            ("certificate", "") => Self::Certificate,
            ("from", network) => network_of(network)?,
            ("days", days) => {
                let (first, last) = days.split_once('-').unwrap_or((days, days));
                Self::Days {
                    first: day(first)?,
                    last: day(last)?,
                }
            }
            ("between", times) => {
                let (from, to) = times.split_once('-')?;
                Self::Between {
                    from: minute(from)?,
                    to: minute(to)?,
                }
            }
            ("server-name", name) if is_host_name(name) => Self::ServerName(name.to_owned()),
            _ => return None,
        })
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut conditions = Vec::new();
        for word in text.split_ascii_whitespace() {
            let shown = || RuleError::Condition(word.chars().take(64).collect());
            conditions.push(Condition::parse(word).ok_or_else(shown)?);
            if conditions.len() > MAX_CONDITIONS {
                return Err(RuleError::Number);
            }
        }
        match conditions.is_empty() {
            true => Err(RuleError::Number),
            false => Ok(Self(conditions)),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, condition) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{condition}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |day: u8| DAYS.get(usize::from(day)).copied().unwrap_or_default();
        match self {
            Self::Host => f.write_str("host"),
            Self::From { network, prefix } => write!(f, "from:{network}/{prefix}"),
            Self::Days { first, last } if first == last => write!(f, "days:{}", name(*first)),
            Self::Days { first, last } => write!(f, "days:{}-{}", name(*first), name(*last)),
            Self::Between { from, to } => write!(
                f,
                "between:{:02}:{:02}-{:02}:{:02}",
                from / 60,
                from % 60,
                to / 60,
                to % 60
            ),
            Self::ServerName(name) => write!(f, "server-name:{name}"),
            Self::Certificate => f.write_str("certificate"),
        }
    }
}

fn network_of(text: &str) -> Option<Condition> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let network: IpAddr = address.parse().ok()?;
    let most = if network.is_ipv4() { 32 } else { 128 };
    let prefix = match bits {
        Some(bits) => bits.parse().ok()?,
        None => most,
    };
    (prefix <= most).then_some(Condition::From { network, prefix })
}

fn is_in(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let same = |one: u128, other: u128, width: u32| {
        let low = width.saturating_sub(prefix.into());
        one.checked_shr(low).unwrap_or(0) == other.checked_shr(low).unwrap_or(0)
    };
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            same(u32::from(one).into(), u32::from(other).into(), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => same(one.into(), other.into(), 128),
        _ => false,
    }
}

fn day(text: &str) -> Option<u8> {
    let place = DAYS.iter().position(|day| *day == text)?;
    u8::try_from(place).ok()
}

/// `08:00`; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 || !text.is_ascii() {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= MINUTES_OF_DAY).then_some(minute)
}

/// From Monday on; 1970-01-01 was a Thursday.
fn day_of_week(now: UnixMillis) -> u8 {
    let days = now.0 / 86_400_000;
    u8::try_from((days + 3) % 7).unwrap_or(0)
}

fn minute_of_day(now: UnixMillis) -> u16 {
    u16::try_from(now.0 / 60_000 % u64::from(MINUTES_OF_DAY)).unwrap_or(0)
}

fn is_host_name(text: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
    (1..=253).contains(&text.len()) && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::TlsFacts;

    /// 2023-11-14 22:13:20 UTC, a Tuesday.
    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn holds(rule: &str, peer: &PeerFacts, now: UnixMillis) -> bool {
        let read: Rule = rule.parse().unwrap();
        assert_eq!(read.to_string(), rule);
        read.holds(Seen { peer, now })
    }

    fn at(address: &str) -> PeerFacts {
        PeerFacts {
            address: Address::Network(address.parse().unwrap()),
            ..PeerFacts::default()
        }
    }

    #[test]
    fn a_network_is_compared_by_its_bits_and_not_as_text() {
        for (rule, address, expected) in [
            ("from:192.168.0.0/16", "192.168.1.1", true),
            ("from:192.168.0.0/16", "10.192.168.1", false),
            ("from:192.168.0.0/16", "::ffff:192.168.1.1", true),
            ("from:0.0.0.0/0", "8.8.8.8", true),
            ("from:0.0.0.0/0", "2001:db8::1", false),
            ("from:10.0.0.1/32", "10.0.0.2", false),
            ("from:2001:db8::/32", "2001:db8:1::1", true),
            ("from:2001:db8::/32", "2001:db9::1", false),
            ("from:::/0", "2001:db9::1", true),
            ("from:10.0.0.0/8 from:172.16.0.0/12", "172.31.0.1", true),
            ("from:10.0.0.0/8 days:mon", "10.0.0.1", false),
        ] {
            assert_eq!(holds(rule, &at(address), NOW), expected, "{rule} {address}");
        }
        let nowhere = PeerFacts::default();
        assert!(!holds("from:0.0.0.0/0", &nowhere, NOW));
        let host = PeerFacts {
            address: Address::Host(7),
            ..PeerFacts::default()
        };
        assert!(holds("host", &host, NOW) && !holds("host", &nowhere, NOW));
        assert!(!holds("from:0.0.0.0/0", &host, NOW));
    }

    #[test]
    fn days_and_times_are_those_of_utc_and_may_go_over_their_end() {
        let nobody = PeerFacts::default();
        for (rule, expected) in [
            ("days:tue", true),
            ("days:mon-fri", true),
            ("days:wed-mon", false),
            ("days:sat-tue", true),
            ("days:mon days:tue", true),
            ("between:22:13-22:14", true),
            ("between:22:14-23:00", false),
            ("between:20:00-22:13", false),
            ("between:22:00-06:00", true),
            ("between:23:00-22:13", false),
            ("between:23:00-22:14", true),
            ("between:00:00-24:00", true),
        ] {
            assert_eq!(holds(rule, &nobody, NOW), expected, "{rule}");
        }
        for now in [0, u64::MAX] {
            assert!(holds(
                "days:mon-sun between:00:00-24:00",
                &nobody,
                UnixMillis(now)
            ));
        }
        assert!(holds(
            "days:thu between:00:00-00:01",
            &nobody,
            UnixMillis(0)
        ));
    }

    #[test]
    fn what_is_known_of_tls_counts_and_nothing_else() {
        let over = |name: Option<&str>, certificate| PeerFacts {
            tls: Some(TlsFacts {
                server_name: name.map(str::to_owned),
                certificate,
            }),
            ..PeerFacts::default()
        };
        let rule = "server-name:people.example";
        assert!(holds(rule, &over(Some("People.example"), false), NOW));
        assert!(!holds(rule, &over(Some("people.example.org"), false), NOW));
        assert!(!holds(rule, &over(None, true), NOW));
        assert!(holds("certificate", &over(None, true), NOW));
        assert!(!holds("certificate", &over(Some("x"), false), NOW));
        assert!(!holds("certificate", &PeerFacts::default(), NOW));
    }

    #[test]
    fn what_makes_no_sense_is_no_rule() {
        for text in [
            "",
            " ",
            "from:",
            "from:10.0.0.0/33",
            "from:::/129",
            "from:10.0/8",
            "days:",
            "days:Mon",
            "days:mon-",
            "between:8:00-18:00",
            "between:08:00",
            "between:24:01-25:00",
            "between:08:60-09:00",
            "server-name:",
            "server-name:a/b",
            "certificate:x",
            "host:x",
            "x",
        ] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
        assert_eq!("host ".repeat(65).parse::<Rule>(), Err(RuleError::Number));
    }

    #[test]
    fn the_first_group_whose_rule_holds_is_asked_and_one_without_comes_last() {
        let rule = |text: &str| Some(text.parse::<Rule>().unwrap());
        let groups = [
            ("inside", rule("from:10.0.0.0/8")),
            ("day", rule("days:tue")),
            ("rest", None),
        ];
        let chosen = |address: &str, groups: &[(&'static str, Option<Rule>)]| {
            let peer = at(address);
            choose(
                groups,
                Seen {
                    peer: &peer,
                    now: NOW,
                },
            )
            .copied()
        };
        assert_eq!(chosen("10.1.1.1", &groups), Some("inside"));
        assert_eq!(chosen("11.1.1.1", &groups), Some("day"));
        assert_eq!(chosen("11.1.1.1", &groups[..1]), None);
        assert_eq!(chosen("11.1.1.1", &groups[2..]), Some("rest"));
        assert_eq!(check_order(&[]), Err(OrderError::Empty));
        assert_eq!(check_order(&[false, false]), Err(OrderError::NotLast));
        assert_eq!(check_order(&[false, true]), Err(OrderError::NotLast));
        for sound in [&[false][..], &[true], &[true, true], &[true, true, false]] {
            assert_eq!(check_order(sound), Ok(()));
        }
    }
}
