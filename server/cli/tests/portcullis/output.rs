//! What is printed, word for word.

use portcullis_proto::gateway::v1::value::Kind;
use portcullis_proto::gateway::v1::{Attribute, Create, Value};

use crate::fake::Fake;

fn with_ann() -> Fake {
    let fake = Fake::start();
    let text = |text: &str| Value {
        kind: Some(Kind::Text(text.to_owned())),
    };
    fake.put(Create {
        name: "ann".to_owned(),
        attributes: vec![
            Attribute {
                name: "shell".to_owned(),
                values: vec![text("/bin/bash")],
            },
            Attribute {
                name: "groups".to_owned(),
                values: vec![text("a\u{1b}[2J"), text("b")],
            },
        ],
        ..Create::default()
    });
    fake
}

#[test]
fn one_account_as_a_table() {
    let finished = with_ann().run(&["account", "get", "r", "ann"]);
    assert_eq!(
        finished.out,
        "account  ann\n\
         id       id-ann\n\
         state    enabled\n\
         shell    /bin/bash\n\
         groups   a\\u{1b}[2J, b\n"
    );
}

#[test]
fn accounts_as_a_table() {
    let fake = with_ann();
    fake.put(Create {
        name: "bob".to_owned(),
        enabled: Some(false),
        ..Create::default()
    });
    assert_eq!(
        fake.run(&["account", "list", "r"]).out,
        "NAME  ID      STATE     SHELL      GROUPS\n\
         ann   id-ann  enabled   /bin/bash  a\\u{1b}[2J, b\n\
         bob   id-bob  disabled\n"
    );
}

#[test]
fn a_table_of_accounts_leaves_out_what_does_not_fit_or_says_nothing_new() {
    let fake = Fake::start();
    let attribute = |name: &str, text: &str| Attribute {
        name: name.to_owned(),
        values: vec![Value {
            kind: Some(Kind::Text(text.to_owned())),
        }],
    };
    fake.put(Create {
        name: "ann".to_owned(),
        attributes: vec![
            attribute("uid", "id-ann"),
            attribute("motto", &"x".repeat(90)),
            attribute("shell", "/bin/sh"),
        ],
        ..Create::default()
    });
    assert_eq!(
        fake.run(&["account", "list", "r"]).out,
        "NAME  ID      STATE    SHELL\n\
         ann   id-ann  enabled  /bin/sh\n\
         \n\
         not shown: uid, motto (--attribute NAME, or --output json)\n"
    );
    let chosen = fake.run(&["account", "list", "r", "--attribute", "motto"]);
    assert!(chosen.out.contains("MOTTO"), "{chosen:?}");
}

#[test]
fn accounts_as_json() {
    let finished = with_ann().run(&["account", "list", "r", "--output", "json"]);
    assert_eq!(
        finished.out,
        "[\n{\"attributes\":{\"groups\":[\"a\\u001b[2J\",\"b\"],\"shell\":[\"/bin/bash\"]},\
         \"class\":\"account\",\"enabled\":true,\"id\":\"id-ann\",\"name\":\"ann\"}\n]\n"
    );
    let empty = Fake::start().run(&["account", "list", "r", "--output", "json"]);
    assert_eq!(empty.out, "[]\n");
}

#[test]
fn a_schema_as_a_table() {
    let finished = Fake::start().run(&["resource", "schema", "r"]);
    assert_eq!(
        finished.out,
        "account: create, get\n\
         \n\
         ATTRIBUTE  TYPE           USE             DESCRIPTION\n\
         uid        integer        create, update  what uid is\n\
         shell      text           create, update  what shell is\n\
         groups     text, several  create, update  what groups is\n\
         \n\
         organizational-unit: get\n\
         \n\
         ATTRIBUTE  TYPE    AT THE TARGET  USE                         DESCRIPTION\n\
         jpegPhoto  binary  JPEG           create, update, never read  what jpegPhoto is\n\
         \n\
         settings: prefix\n\
         actions: greet\n"
    );
}

#[test]
fn a_schema_for_programs_says_what_the_target_calls_a_type() {
    let finished = Fake::start().run(&["resource", "schema", "r", "--output", "json"]);
    let schema = &finished.json()["schema"];
    let uid = &schema["classes"][0]["attributes"][0];
    assert_eq!(uid["syntax"], serde_json::Value::Null);
    assert_eq!(uid["readable"], true);
    let photo = &schema["classes"][1]["attributes"][0];
    assert_eq!(schema["classes"][1]["class"], "organizational-unit");
    assert_eq!(photo["syntax"], "1.3.6.1.4.1.1466.115.121.1.28");
    assert_eq!(photo["source"], "JPEG");
    assert_eq!(photo["binary"], true);
    assert_eq!(photo["readable"], false);
}

#[test]
fn an_error_as_text_and_as_json() {
    let fake = Fake::start();
    let finished = fake.run(&["account", "get", "r", "nobody", "--call-id", "c-1"]);
    assert_eq!(
        finished.err,
        "error: the resource says \\u{1b}[31mFAILURE_KIND_NOT_FOUND (call c-1)\n"
    );
    let finished = fake.run(&[
        "account",
        "get",
        "missing",
        "ann",
        "--output=json",
        "--call-id",
        "c-2",
    ]);
    assert_eq!(
        finished.err,
        "{\"error\":{\"kind\":\"not-found\",\"message\":\"there is no resource `missing`\"}}\n"
    );
}
