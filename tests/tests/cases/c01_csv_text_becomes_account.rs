//! Text within quotes of a CSV file became an account, and a JSON array was read in half.

use crate::accounts::Accounts;

#[tokio::test(flavor = "multi_thread")]
async fn no_account_is_made_out_of_the_inside_of_a_text() {
    let Some(site) = Accounts::new().await else {
        return;
    };
    let import = |name: &str, content: &str| {
        let file = site.file(name, content.as_bytes());
        site.portcullis(&format!("account import unix {file}"))
    };
    // A text with line breaks is one value, which is none for a comment of the account files.
    let quoted = "name,gecos\nml.ada,\"Room 1\nml.mallory,x\nend\"\nml.bob,Bob\n";
    import("people.csv", quoted)
        .refused()
        .saying("line 2 (ml.ada)");
    assert!(site.is_there("ml.bob") && !site.is_there("ml.ada"));
    // Where quotes are out of place, nobody knows what is text: nothing is sent.
    for (number, content) in [
        "name,gecos\nml.cid,Cid\nml.dee,\"Room 1\nml.mallory,x\n",
        "name,gecos\nml.cid,Cid\nml.dee,5\" pipe\nml.mallory,x\n",
        "name;gecos\nml.cid;Cid\nml.dee;\"Room\" 1\nml.mallory;x\n",
        "name,gecos\rml.cid,Cid\rml.mallory,x\r",
    ]
    .into_iter()
    .enumerate()
    {
        let refused = import(&format!("refused{number}.csv"), content);
        assert_eq!(refused.status.code(), Some(2), "{refused}");
        assert!(
            refused.stderr.contains("nothing of the file was sent"),
            "{refused}"
        );
    }
    for (number, content) in [
        "[\n {\"name\":\"ml.cid\"},\n {\"name\":\"ml.mallory\"}\n]\n",
        "{\"people\": [\n{\"name\":\"ml.mallory\"}\n]}\n",
    ]
    .into_iter()
    .enumerate()
    {
        let refused = import(&format!("array{number}.jsonl"), content);
        assert_eq!(refused.status.code(), Some(2), "{refused}");
    }
    assert!(!site.is_there("ml.cid") && !site.is_there("ml.mallory"));
    // What a spreadsheet of a country with decimal commas saves.
    let saved = "\u{feff}name;gecos;enabled\r\nml.eve;\"a; \"\"b\"\"\";FALSCH\r\n";
    let file = site.file("saved.csv", saved.as_bytes());
    let dry = site
        .portcullis(&format!("account import unix {file} --dry-run"))
        .ok();
    assert!(dry.stdout.contains("would be created  1"), "{dry}");
    assert!(!site.is_there("ml.eve"));
    site.portcullis(&format!("account import unix {file}")).ok();
    let eve = site.portcullis("account get unix ml.eve").ok().stdout;
    assert!(
        eve.contains("a; \"b\"") && eve.contains("disabled"),
        "{eve}"
    );
}
