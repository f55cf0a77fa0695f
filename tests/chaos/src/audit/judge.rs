//! What the audit log may say of a call, by who died meanwhile and whether the call left its mark.

use super::Told;

/// What happened to a call, as the test saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// What its caller was told.
    pub(super) told: Told,
    /// How often it was carried out.
    pub(super) marks: usize,
    /// The server died while it might have been under way.
    pub(super) server_died: bool,
    /// The gateway died while it might have been under way.
    pub(super) gateway_died: bool,
}

/// What is wrong with the outcomes in a call's entries, oldest first; with each, the entry `begun`
/// that it is of.
pub(super) fn judge(seen: Seen, outcomes: &[&str]) -> Option<String> {
    let Seen { told, marks, .. } = seen;
    if marks > 1 {
        return Some(format!("it was carried out {marks} times"));
    }
    let Some(last) = outcomes.last().copied() else {
        return match (told, marks) {
            (Told::Nothing, 0) => None,
            (Told::Nothing, _) => Some("it left its mark, and no entry".to_owned()),
            _ => Some(format!(
                "its caller was told {told:?}, and there is no entry"
            )),
        };
    };
    let lived = !seen.gateway_died;
    let wrong = match last {
        "begun" => Some("it was never closed"),
        "done" if marks == 0 => Some("it left no mark"),
        "failed" | "refused" if marks > 0 => Some("it left its mark"),
        "indeterminate" if lived => Some("its gateway lived"),
        "unknown" if !seen.server_died => Some("the server lived"),
        "unknown" if lived && marks > 0 => Some("its gateway lived, and could have told"),
        "done" | "failed" | "refused" | "indeterminate" | "unknown" => None,
        _ => Some("there is no such outcome"),
    };
    let wrong = wrong.or(match (told, last) {
        (Told::Done, "done") | (Told::Failed, "failed") => None,
        (Told::Done, _) => Some("its caller was told that it is done"),
        (Told::Failed, _) => Some("its caller was told that it failed"),
        (Told::Indeterminate | Told::Nothing | Told::Queued, _) => None,
    });
    wrong.map(|why| format!("the audit log says {last}, but {why}: {outcomes:?}"))
}

/// What is wrong with the state in the queue of a call whose last entry says `last`.
pub(super) fn judge_queued(state: &str, last: &str) -> Option<String> {
    let fits = match state {
        "Done" => last == "done",
        "Failed" => last == "failed",
        "Indeterminate" => matches!(last, "unknown" | "indeterminate"),
        _ => false,
    };
    (!fits).then(|| format!("the queue says {state}, and the audit log {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lie_of_the_log_is_found() {
        const NOBODY: (bool, bool) = (false, false);
        const SERVER: (bool, bool) = (true, false);
        const GATEWAY: (bool, bool) = (false, true);
        const BOTH: (bool, bool) = (true, true);
        for (told, marks, died, outcomes, sound) in [
            (Told::Done, 1, NOBODY, "begun done", true),
            (Told::Done, 1, NOBODY, "", false),
            (Told::Done, 1, NOBODY, "begun", false),
            (Told::Done, 0, NOBODY, "begun done", false),
            (Told::Done, 2, NOBODY, "begun done", false),
            (Told::Failed, 0, NOBODY, "failed", true),
            (Told::Failed, 1, NOBODY, "begun failed", false),
            (Told::Failed, 0, BOTH, "begun unknown", false),
            (Told::Nothing, 0, SERVER, "", true),
            (Told::Nothing, 1, SERVER, "", false),
            (Told::Nothing, 0, SERVER, "begun unknown", true),
            (Told::Nothing, 1, SERVER, "begun unknown", false),
            (Told::Nothing, 1, BOTH, "begun unknown", true),
            (Told::Nothing, 1, SERVER, "begun unknown done", true),
            (Told::Nothing, 0, SERVER, "begun unknown done", false),
            (Told::Indeterminate, 1, GATEWAY, "begun indeterminate", true),
            (Told::Indeterminate, 1, SERVER, "begun indeterminate", false),
            (Told::Indeterminate, 1, GATEWAY, "begun unknown", false),
            (Told::Queued, 1, NOBODY, "begun done", true),
            (Told::Queued, 1, NOBODY, "", false),
        ] {
            let outcomes: Vec<_> = outcomes.split_whitespace().collect();
            let (server_died, gateway_died) = died;
            let seen = Seen {
                told,
                marks,
                server_died,
                gateway_died,
            };
            let wrong = judge(seen, &outcomes);
            assert_eq!(wrong.is_none(), sound, "{seen:?} {outcomes:?}: {wrong:?}");
        }
        assert!(judge_queued("Done", "done").is_none());
        assert!(judge_queued("Indeterminate", "unknown").is_none());
        assert!(judge_queued("Indeterminate", "done").is_some());
        assert!(judge_queued("Waiting", "done").is_some());
    }
}
