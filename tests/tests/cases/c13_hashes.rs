//! Hashes of other schemes than our own.

use crate::host::Host;

/// Each of `hunter2`.
const HASHES: [(&str, &str); 3] = [
    ("tim", "$1$abcd1234$OMoAPxOfiTE4qXekxb0Sq1"),
    (
        "tom",
        "$2b$10$abcdefghijklmnopqrstuu7gIUFBKrYXdzQy8HrouzMJyZ4cijAb2",
    ),
    ("old", "$8$nobody$knows-this-scheme"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_is_never_called_wrong() {
    let Some(host) = Host::new("").await else {
        return;
    };
    for (uid, (name, hash)) in (1700..).zip(HASHES) {
        let line = format!("{name}:x:{uid}:100::/home/{name}:/bin/bash\n");
        host.append("etc/passwd", line.as_bytes());
        let line = format!("{name}:{hash}:19000:0:99999:7:::\n");
        host.append("etc/shadow", line.as_bytes());
    }
    let login = |name: &str, password: &str| {
        let pw = host.password_file(password);
        let pw = pw.display();
        host.portcullis(&format!(
            "account authenticate unix1 {name} --password-file {pw}"
        ))
    };
    for name in ["tim", "tom"] {
        login(name, "hunter2").ok();
        login(name, "hunter3")
            .refused()
            .saying("the password is wrong");
    }
    login("old", "hunter2").refused().saying("crypt(3)");
}
