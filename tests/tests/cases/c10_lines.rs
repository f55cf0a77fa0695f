//! Lines of the account files that the C library reads otherwise than one might think.

use serde_json::json;

use crate::host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_is_what_can_log_in() {
    let Some(host) = Host::new("").await else {
        return;
    };
    host.append(
        "etc/passwd",
        b"crlf:x:1109:100:Cr:/home/crlf:/bin/bash\r\n\
          short:x:1106:100:Short:/home/short\n\
          longr:x:1107:100:Long:/home/longr:/bin/bash:extra\n\
          \x20lead:x:1108:100:Lead:/home/lead:/bin/bash\n\
          wrong:x:11o9:100:::\n",
    );
    host.append("etc/group", b"crew:x:3001:crlf,short\r\n");
    let attribute = |name: &str, attribute: &str| {
        let shown = host.account(name);
        shown["object"]["attributes"][attribute].clone()
    };
    assert_eq!(attribute("crlf", "shell"), json!(["/bin/bash\r"]));
    assert_eq!(attribute("crlf", "groups"), json!(["crew"]));
    assert_eq!(attribute("short", "shell"), json!([""]));
    assert_eq!(attribute("short", "groups"), json!(null));
    assert_eq!(attribute("longr", "shell"), json!(["/bin/bash:extra"]));
    assert_eq!(attribute("lead", "uid"), json!([1108]));
    let listed = host.portcullis("account list unix1").ok().stdout;
    for name in ["crlf", "short", "longr", "lead"] {
        assert!(listed.contains(name), "{listed}");
    }

    let update = "account update unix1 crlf --set shell=/bin/bash";
    host.portcullis(update).ok();
    let passwd = String::from_utf8(host.read("etc/passwd")).unwrap();
    assert!(passwd.contains("/home/crlf:/bin/bash\n"), "{passwd}");

    let wrong = host.portcullis("account get unix1 wrong").refused();
    assert!(wrong.stderr.contains("line 8 of etc/passwd"), "{wrong}");
    let report = host.portcullis("resource test unix1").ok().stdout;
    for part in ["1 line of etc/passwd makes no sense", "line 8 (pwck)"] {
        assert!(report.contains(part), "{report}");
    }
}
