//! The names that there are, for somebody who gave one that there is not: those that he may have
//! meant come first.

/// Names that are listed, at most.
const MOST: usize = 12;
/// Letters from which on a name may be meant by one that holds it.
const PART: usize = 3;

/// `known`, those that are written most like `given` first; of many only the nearest, and how many
/// others there are.
pub fn nearest_first<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let given = given.to_lowercase();
    let mut known: Vec<_> = known
        .into_iter()
        .map(|name| (distance(&given, &name.to_lowercase()), name))
        .collect();
    known.sort_unstable();
    let others = known.len().saturating_sub(MOST);
    let nearest: Vec<_> = known.iter().take(MOST).map(|(_, name)| *name).collect();
    match (nearest.is_empty(), others) {
        (true, _) => "none".to_owned(),
        (false, 0) => nearest.join(", "),
        (false, others) => format!("{} and {others} others", nearest.join(", ")),
    }
}

/// Letters that differ; one that holds the other is near, as `telephoneNumber` is to `phone`.
fn distance(given: &str, known: &str) -> usize {
    let letters = strsim::damerau_levenshtein(given, known);
    let holds = |whole: &str, part: &str| part.len() >= PART && whole.contains(part);
    match holds(known, given) || holds(given, known) {
        true => letters.min(2),
        false => letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_comes_first_and_a_long_list_is_cut() {
        let few = ["full_name", "groups", "home", "shell", "uid"];
        assert_eq!(
            nearest_first("shel", few),
            "shell, home, uid, groups, full_name"
        );
        assert!(nearest_first("NAME", few).starts_with("full_name, "));
        assert_eq!(nearest_first("x", []), "none");
        let many: Vec<_> = (0..40).map(|number| format!("number{number}")).collect();
        let mut many: Vec<_> = many.iter().map(String::as_str).collect();
        many.extend(["telephoneNumber", "mail"]);
        let listed = |given| nearest_first(given, many.iter().copied());
        assert!(listed("emial").starts_with("mail, "));
        assert!(listed("phone").starts_with("telephoneNumber, "));
        assert!(listed("phone").ends_with(" and 30 others"));
    }
}
