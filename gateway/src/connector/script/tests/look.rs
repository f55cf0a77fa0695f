//! What a script says of a change of which no end was seen.

use std::fs;

use portcullis_common::id::ServerId;

use super::*;

fn set_password() -> wire::Call {
    call(Verb::SetPassword(wire::SetPassword {
        object: Some(wire::ObjectRef {
            object_class: wire::ObjectClass::Account.into(),
            by: Some(wire::object_ref::By::Name("ada".into())),
            ..wire::ObjectRef::default()
        }),
        password: Some(wire::Secret::plain(b"Correct-Horse-41".to_vec())),
    }))
}

async fn outcome(provisioner: &Provisioner, call: wire::Call) -> String {
    let server = ServerId::from_array([1; 16]);
    match provisioner.execute_for(server, call).await {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Failed(failure) => failure.kind.to_string(),
        Outcome::Indeterminate(why) if why.look_again => "look again".to_owned(),
        Outcome::Indeterminate(why) => format!("indeterminate: {}", why.evidence.join(", ")),
    }
}

#[tokio::test]
async fn a_script_tells_what_became_of_a_change_without_an_end() {
    let look = "cat > looked; cat answer";
    let folder = folder(&[("set-password", "exit 3"), ("look", look)]);
    let provisioner = provisioner(folder.path(), "");
    for (answer, expected) in [
        (r#"{"outcome": "done"}"#, "done"),
        (r#"{"outcome": "not-begun"}"#, "unavailable"),
        (
            r#"{"outcome": "unclear", "seen": ["another password"]}"#,
            "indeterminate: another password",
        ),
        (r#"{"outcome": "perhaps"}"#, "look again"),
        (
            r#"{"error": {"kind": "unavailable", "message": "down"}}"#,
            "look again",
        ),
    ] {
        fs::write(folder.path().join("answer"), answer).unwrap();
        assert_eq!(outcome(&provisioner, set_password()).await, expected);
    }
    let asked = fs::read_to_string(folder.path().join("looked")).unwrap();
    let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked["verb"], "look");
    assert_eq!(asked["of"], "set-password");
    assert_eq!(asked["password"], "Correct-Horse-41");
    assert_eq!(asked["object"]["name"], "ada");
}

#[tokio::test]
async fn without_a_look_what_can_be_read_tells() {
    let get =
        "if [ -e there ]; then cat there; else echo '{\"error\": {\"kind\": \"not-found\"}}'; fi";
    let folder = folder(&[("get", get), ("create", "eval \"$(cat fate)\"; exit 3")]);
    let provisioner = provisioner(folder.path(), "");
    let ada = r#"{"object": {"id": "7", "name": "ada", "enabled": true, "attributes": {"mail": ["ada@example.com"]}}}"#;
    let eve = ada.replace("ada@", "eve@");
    let made = |object: &str| format!("printf '%s' '{object}' > there");
    for (fate, expected) in [
        (String::new(), "unavailable"),
        (made(ada), "done"),
        (
            made(&eve),
            "indeterminate: before the call: there = no, account `ada` was not there before the call, and is there now, attribute `mail` is not as it was asked for",
        ),
    ] {
        fs::write(folder.path().join("fate"), fate).unwrap();
        let _ = fs::remove_file(folder.path().join("there"));
        let create = call(Verb::Create(wire::Create {
            object_class: wire::ObjectClass::Account.into(),
            name: "ada".into(),
            attributes: vec![wire::Attribute {
                name: "mail".into(),
                values: vec![wire::Value {
                    kind: Some(wire::value::Kind::Text("ada@example.com".into())),
                }],
            }],
            ..wire::Create::default()
        }));
        assert_eq!(outcome(&provisioner, create).await, expected);
    }
}
