//! A filter as a condition of SQL finds what it finds in memory.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::model::{Comparison, FilterOperation};

const TEXTS: [&str; 9] = ["", "a", "A", "ab", "ä", "%", "a_", "b'a", "ba\u{1f600}"];
const OPERATIONS: [FilterOperation; 7] = [
    FilterOperation::Equals,
    FilterOperation::StartsWith,
    FilterOperation::EndsWith,
    FilterOperation::Contains,
    FilterOperation::Present,
    FilterOperation::LessOrEqual,
    FilterOperation::GreaterOrEqual,
];
const NAMES: [&str; 7] = [
    "__id__",
    "__name__",
    "__enabled__",
    "full_name",
    "age",
    "height",
    "mails",
];

fn value(random: &mut StdRng) -> Value {
    match random.random_range(0..6) {
        0 => Value::Integer(random.random_range(0..5)),
        1 => Value::Boolean(random.random()),
        2 => Value::Real([0.5, 1.0, 2.0][random.random_range(0..3)]),
        3 => text(&random.random_range(0..5).to_string()),
        _ => text(TEXTS.choose(random).unwrap()),
    }
}

fn filter(random: &mut StdRng, depth: usize) -> Filter {
    let some = |random: &mut StdRng| -> Vec<Filter> {
        (0..random.random_range(0..3))
            .map(|_| filter(random, depth + 1))
            .collect()
    };
    match random.random_range(0..6) {
        0 if depth < 3 => Filter::All(some(random)),
        1 if depth < 3 => Filter::Any(some(random)),
        2 if depth < 3 => Filter::Not(Box::new(filter(random, depth + 1))),
        _ => {
            let operation = *OPERATIONS.choose(random).unwrap();
            let present = operation == FilterOperation::Present;
            Filter::Comparison(Comparison {
                operation,
                attribute: AttributeName::new(*NAMES.choose(random).unwrap()).unwrap(),
                value: (!present).then(|| value(random)),
            })
        }
    }
}

#[tokio::test]
async fn a_filter_finds_the_same_in_the_database_as_in_memory() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let random = &mut StdRng::seed_from_u64(seed);
    let hr = Hr::new("");
    for (number, name) in TEXTS.iter().enumerate().skip(1) {
        let mut attributes = Vec::new();
        if random.random() {
            attributes.push(("full_name", text(TEXTS.choose(random).unwrap())));
        }
        if random.random() {
            attributes.push(("age", Value::Integer(random.random_range(1..5))));
        }
        if random.random() {
            attributes.push((
                "height",
                Value::Real([0.5, 1.0, 2.0][random.random_range(0..3)]),
            ));
        }
        if random.random() {
            attributes.push(("mails", text(TEXTS.choose(random).unwrap())));
        }
        let mut made = account(name, &attributes);
        made.enabled = random.random();
        hr.create(&cx(&number.to_string()), made).await.unwrap();
    }
    let (all, _) = hr.search(None, 100, Cookie::default()).await;
    for _ in 0..600 {
        let filter = filter(random, 0);
        let expected: Vec<_> = all.iter().filter(|object| filter.matches(object)).collect();
        let (found, _) = hr
            .search(Some(filter.clone()), 100, Cookie::default())
            .await;
        assert_eq!(
            found.iter().collect::<Vec<_>>(),
            expected,
            "seed {seed}: {filter:?}"
        );
    }
}

#[tokio::test]
async fn pages_meet_every_object_once_though_others_come_and_go() {
    let hr = Hr::new("");
    for number in 0..20 {
        let name = format!("user{number}");
        hr.create(&cx(&name), account(&name, &[])).await.unwrap();
    }
    let (mut names, mut cookie) = (Vec::new(), Cookie::default());
    loop {
        let (page, next) = hr.search(None, 3, cookie).await;
        assert!(page.len() <= 3);
        names.extend(page.iter().map(|object| object.identity.name.to_string()));
        if next.is_empty() {
            break;
        }
        let last = names.last().unwrap();
        hr.connector()
            .delete(&cx(&format!("d{last}")), named(last))
            .await
            .unwrap();
        cookie = next;
    }
    let expected: Vec<_> = (0..20).map(|number| format!("user{number}")).collect();
    assert_eq!(names, expected);
}
