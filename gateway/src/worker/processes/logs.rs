//! The log of a gateway in processes: the lines of all of them, and what each logs besides.

use futures_util::future::join_all;
use portcullis_common::id::ServerId;
use portcullis_host::log::Line;
use portcullis_proto::control::MAX_LOG;
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;

use super::{Workers, nonsense};
use crate::config::WorkerKind;

/// What the process that faces the servers is called beside the workers.
const FRONT: &str = "front";

impl Workers {
    /// The last lines of all processes, `most` at the most, oldest first, of which this one's are
    /// `own`; and of which processes there are none, and why.
    pub(in crate::worker) async fn log(
        &self,
        server: ServerId,
        own: Vec<Line>,
        most: u32,
    ) -> (Vec<String>, Vec<String>) {
        let asked = || What::Log(wire::LogRequest { lines: most });
        let (mut parts, mut faults) = (vec![(FRONT, own)], Vec::new());
        for (kind, answer) in self.ask_all(server, asked).await {
            match answer {
                Ok(Answered::Log(log)) => {
                    let lines = log.lines.into_iter().map(|line| Line {
                        at_unix_ns: line.at_unix_ns,
                        text: line.text,
                    });
                    parts.push((kind.name(), lines.collect()));
                }
                Ok(_) => faults.push(nonsense(kind)),
                Err(why) => faults.push(why),
            }
        }
        (merged(parts, most), faults)
    }

    /// Has the workers log more, or no longer; and says which of them do not, and why.
    pub(in crate::worker) async fn log_more(
        &self,
        server: ServerId,
        request: &wire::LogMoreRequest,
    ) -> Vec<String> {
        let asked = || What::LogMore(request.clone());
        let answers = self.ask_all(server, asked).await.into_iter();
        let faults = answers.filter_map(|(kind, answer)| match answer {
            Ok(Answered::LogMore(_)) => None,
            Ok(_) => Some(nonsense(kind)),
            Err(why) => Some(why),
        });
        faults.collect()
    }

    /// Asks every worker that has connectors.
    async fn ask_all(
        &self,
        server: ServerId,
        what: impl Fn() -> What,
    ) -> Vec<(WorkerKind, Result<Answered, String>)> {
        let asking = self.used().into_iter().map(|kind| {
            let order = self.order(Some(server), None, what());
            async move {
                let answer = self.ask(kind, order).await;
                (kind, answer.map_err(super::orders::Lost::message))
            }
        });
        join_all(asking).await
    }
}

/// The newest lines of several processes by their time, each of which says whose it is.
fn merged(parts: Vec<(&str, Vec<Line>)>, most: u32) -> Vec<String> {
    let mut all = Vec::new();
    for (process, lines) in parts {
        // The order within a process stays, also where its clock was put back meanwhile.
        let mut latest = 0;
        for Line { at_unix_ns, text } in lines {
            latest = at_unix_ns.max(latest);
            all.push((latest, named(process, &text)));
        }
    }
    all.sort_by_key(|(at, _)| *at);
    let mut left = MAX_LOG;
    let newest = all.into_iter().rev();
    let newest = newest.take(usize::try_from(most).unwrap_or(usize::MAX));
    let mut lines: Vec<_> = newest
        .map_while(|(_, line)| {
            left = left.checked_sub(line.len())?;
            Some(line)
        })
        .collect();
    lines.reverse();
    lines
}

/// A line of text with the name before it; a line of JSON stays one.
fn named(process: &str, line: &str) -> String {
    match line.strip_prefix('{') {
        Some(rest) => format!("{{\"process\":\"{process}\",{rest}"),
        None => format!("{process}: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at_unix_ns: u64, text: &str) -> Line {
        Line {
            at_unix_ns,
            text: text.to_owned(),
        }
    }

    #[test]
    fn lines_of_several_processes_stand_in_the_order_of_their_time_and_say_whose_they_are() {
        let parts = || {
            vec![
                (FRONT, vec![line(1, "a"), line(5, "b")]),
                (
                    "privileged",
                    // Its clock was put back.
                    vec![line(3, "{\"c\":1}"), line(2, "d"), line(9, "e")],
                ),
            ]
        };
        let all = [
            "front: a",
            "{\"process\":\"privileged\",\"c\":1}",
            "privileged: d",
            "front: b",
            "privileged: e",
        ];
        assert_eq!(merged(parts(), 1000), all);
        assert_eq!(merged(parts(), 2), all[3..]);
        assert!(merged(parts(), 0).is_empty());
        let long = vec![(FRONT, vec![line(1, &"x".repeat(MAX_LOG)), line(2, "y")])];
        assert_eq!(merged(long, 1000), ["front: y"]);
    }
}
