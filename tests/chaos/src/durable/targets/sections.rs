//! What a gateway's configuration says of a resource, after where its server is.

use portcullis_directories::{Samba, Slapd};

pub(super) fn ldap(name: &str, accounts: &str, groups: &str, more: &str) -> String {
    let suffix = Slapd::SUFFIX;
    format!(
        "{more}[connectors.{name}.accounts]\nbase = \"{accounts},{suffix}\"\ndefaults = {{ cn = \"{{name}}\", sn = \"{{name}}\" }}\n\
         [connectors.{name}.groups]\nbase = \"{groups},{suffix}\"\nplaceholder = \"cn=nobody,{suffix}\"\n"
    )
}

pub(super) fn active_directory(name: &str, unit: &str, more: &str) -> String {
    let suffix = Samba::SUFFIX;
    format!(
        "domain = \"example.test\"\n{more}[connectors.{name}.accounts]\nbase = \"{unit},{suffix}\"\n\
         [connectors.{name}.groups]\nbase = \"{unit},{suffix}\"\n"
    )
}

pub(super) fn sql(name: &str, table: &str, more: &str) -> String {
    format!(
        r#"{more}[connectors.{name}.account]
read = "SELECT id, login AS name, active AS enabled, full_name, teams FROM {table}"
create = "INSERT INTO {table} (login, full_name, active, password) VALUES (:name, :full_name, :enabled, :password)"
rename = "UPDATE {table} SET login = :new_name WHERE id = :id"
delete = "DELETE FROM {table} WHERE id = :id"
enable = "UPDATE {table} SET active = true WHERE id = :id"
disable = "UPDATE {table} SET active = false WHERE id = :id"
set_password = "UPDATE {table} SET password = :password WHERE id = :id"
authenticate = "SELECT password = :password FROM {table} WHERE id = :id"
[connectors.{name}.account.update]
full_name = "UPDATE {table} SET full_name = :value WHERE id = :id"
[connectors.{name}.account.add]
teams = "UPDATE {table} SET teams = teams || :value::text WHERE id = :id"
[connectors.{name}.account.remove]
teams = "UPDATE {table} SET teams = array_remove(teams, :value) WHERE id = :id"
"#
    )
}
