//! The file of waves: a line each, `NAME: MEMBER…`, in their order.
//!
//! A member is a gateway's name, `@GROUP` for the gateways of a group, or `*` for all that are in
//! no earlier wave. `#` begins a comment.

use std::path::Path;

use portcullis_host::text;
use portcullis_proto::admin::v1::UpgradeWave;

use crate::error::CliError;

/// Bytes of such a file at most.
const MAX_FILE: u64 = 4 << 20;

/// Reads one.
///
/// # Errors
/// [`CliError::Usage`] with the line; [`CliError::File`].
pub(super) fn read(path: &Path) -> Result<Vec<UpgradeWave>, CliError> {
    let content = text::read_file(path, MAX_FILE).map_err(CliError::text(path))?;
    parse(&content).map_err(|(line, problem)| {
        CliError::Usage(format!("{}, line {line}: {problem}", path.display()))
    })
}

fn parse(content: &str) -> Result<Vec<UpgradeWave>, (u64, String)> {
    let (mut waves, mut rest) = (Vec::new(), false);
    for (number, line) in text::lines(content) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let fault = |problem: &str| {
            (
                number,
                format!(
                    "{problem}: write NAME: MEMBER…, such as `first: host1 @canary`, and `rest: *` last"
                ),
            )
        };
        let (name, members) = line
            .split_once(':')
            .ok_or_else(|| fault("the line names no wave"))?;
        let mut wave = UpgradeWave {
            name: name.trim().to_owned(),
            ..UpgradeWave::default()
        };
        for member in members.split_whitespace() {
            match member.strip_prefix('@') {
                Some(group) => wave.groups.push(group.to_owned()),
                None if member == "*" && rest => {
                    return Err(fault(
                        "an earlier wave takes all that are in none yet (`*`)",
                    ));
                }
                None if member == "*" => (wave.rest, rest) = (true, true),
                None => wave.gateways.push(member.to_owned()),
            }
        }
        if wave.name.is_empty() || members.trim().is_empty() {
            return Err(fault("a wave has a name, and members"));
        }
        waves.push(wave);
    }
    match waves.is_empty() {
        true => Err((1, "it names no wave".to_owned())),
        false => Ok(waves),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_have_gateways_groups_and_the_rest() {
        let read = parse("# ours\nfirst: host1 @canary # with care\n\nrest: *\n").unwrap();
        assert_eq!(read[0].gateways, ["host1"]);
        assert_eq!(read[0].groups, ["canary"]);
        assert_eq!((read[1].name.as_str(), read[1].rest), ("rest", true));
        for (content, line) in [
            ("", 1),
            ("#\nhost1\n", 2),
            (": a\n", 1),
            ("a:\n", 1),
            ("a: *\nb: host1\nc: *\n", 3),
        ] {
            assert_eq!(parse(content).unwrap_err().0, line, "{content:?}");
        }
    }
}
