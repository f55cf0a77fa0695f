//! Versions that fit, and who is released.

use crate::fake::Fake;

#[test]
fn who_was_never_connected_fails_no_check() {
    let fake = Fake::start();
    let check = ["fleet", "upgrade-check", "0.1.0"];
    let told = fake.run(&check);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(!told.out.contains("DOES NOT FIT"), "{told:?}");
    let apart = told.out.lines().last().unwrap();
    assert!(apart.starts_with("never connected"), "{told:?}");
    assert!(apart.ends_with(": new1"), "{told:?}");
    let json = fake
        .run(&[&check[..], &["--output", "json"]].concat())
        .json();
    assert_eq!(json["never_connected"], serde_json::json!(["new1"]));
    assert_eq!(json["gateways"].as_array().unwrap().len(), 1, "{json}");
}

#[test]
fn a_gateway_that_is_not_there_is_no_gateway_that_waits() {
    let fake = Fake::start();
    let released = |name| fake.run(&["fleet", "upgrade", "released", "--gateway", name]);
    let waits = released("taken");
    assert_eq!(waits.code, Some(1), "{waits:?}");
    let wrong = released("nosuch");
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(
        wrong.err.contains("there is no gateway `nosuch`"),
        "{wrong:?}"
    );
}
