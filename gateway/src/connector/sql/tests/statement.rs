//! Which statements are taken, and what the engine is given of them.

use super::*;

fn parsed(dialect: Dialect, text: &str) -> (String, Kind, Vec<String>) {
    let statement = Statement::parse(dialect, text).unwrap_or_else(|e| panic!("{text}: {e}"));
    (statement.sql, statement.kind, statement.parameters)
}

#[test]
fn parameters_are_told_from_texts_names_comments_and_casts() {
    let text = "UPDATE p SET a = :value, b = ':no', \"c:no\" = E'\\':no', d = $x$ :no ; $x$, \
                e = :value::text /* :no /* ; */ */ WHERE id = :id -- :no ;";
    let (sql, kind, parameters) = parsed(Dialect::Postgres, text);
    assert_eq!(kind, Kind::Update);
    assert_eq!(parameters, ["value", "id"]);
    assert_eq!(
        sql,
        "UPDATE p SET a = $1, b = ':no', \"c:no\" = E'\\':no', d = $x$ :no ; $x$, \
         e = $1::text   WHERE id = $2  "
    );
    let text = "DELETE FROM [a;b] WHERE `:c` = :id AND d = 'it''s :no'";
    let (sql, kind, parameters) = parsed(Dialect::Sqlite, text);
    assert_eq!((kind, parameters), (Kind::Delete, vec!["id".to_owned()]));
    assert_eq!(sql, "DELETE FROM [a;b] WHERE `:c` = ?1 AND d = 'it''s :no'");
}

#[test]
fn the_kind_of_a_with_is_that_of_its_main_statement() {
    for (text, kind) in [
        (
            "WITH a AS (DELETE FROM t RETURNING 1) SELECT * FROM a",
            Kind::Select,
        ),
        (
            "with recursive a(n) as materialized (select 1), b as (select 2) insert into t select 1",
            Kind::Insert,
        ),
        ("SELECT 1 WHERE id IN (SELECT 2)", Kind::Select),
        ("call make_account(:name)", Kind::Call),
    ] {
        assert_eq!(parsed(Dialect::Postgres, text).1, kind, "{text}");
    }
}

#[test]
fn anything_else_is_refused() {
    for text in [
        "",
        "-- SELECT 1",
        "DROP TABLE people",
        "TRUNCATE people",
        "COPY people TO PROGRAM 'sh'",
        "DO $$ BEGIN END $$",
        "EXPLAIN ANALYZE DELETE FROM people",
        "(SELECT 1)",
        "SET role postgres",
        "COMMIT",
        "WITH a AS (SELECT 1) TABLE a",
        "WITH a AS (SELECT 1) CALL f()",
        "SELECT 1; DELETE FROM people",
        "SELECT 1;",
        "SELECT * INTO copy FROM people",
        "SELECT 'a",
        "SELECT \"a",
        "SELECT $a$ b",
        "SELECT /* a",
        "SELECT (1",
        "SELECT 1)",
        "SELECT $1",
        "VALUES (1)",
        "MERGE INTO people USING x ON true WHEN MATCHED THEN DELETE",
    ] {
        assert!(Statement::parse(Dialect::Postgres, text).is_err(), "{text}");
    }
    for text in [
        "SELECT ?",
        "SELECT ?1",
        "SELECT @a",
        "SELECT $a",
        "SELECT 1 /* /* */ */ ; x",
        "PRAGMA writable_schema = 1",
        "ATTACH 'x' AS y",
        "VACUUM INTO 'x'",
        "REPLACE INTO t VALUES (1)",
        "SELECT [a",
        "SELECT `a",
    ] {
        assert!(Statement::parse(Dialect::Sqlite, text).is_err(), "{text}");
    }
}

/// A statement hidden behind a text that the two engines end at different places.
#[test]
fn a_backslash_ends_no_text_but_that_of_e() {
    let hidden = "SELECT '\\'; DROP TABLE p --'";
    assert!(Statement::parse(Dialect::Postgres, hidden).is_err());
    assert!(Statement::parse(Dialect::Sqlite, hidden).is_err());
    let text = "SELECT E'\\'; DROP TABLE p --'";
    assert!(Statement::parse(Dialect::Postgres, text).is_ok());
    assert!(Statement::parse(Dialect::Sqlite, text).is_err());
}

/// What PostgreSQL reads otherwise than it looks: a parameter or the end may stand in a text.
#[test]
fn a_text_that_begins_elsewhere_is_not_misread() {
    for text in [
        // One text, for the engine never sees the comment.
        "SELECT E'a' -- b\n'\\' , :id, ''",
        "SELECT E'a' /* b\n */ '\\' , :id, ''",
        // A name that ends in E, and a text without backslashes.
        "SELECT x\u{a0}E'\\'; DROP TABLE p --'",
        "SELECT \u{1f600}E'\\'; DROP TABLE p --'",
        // A number, and a text with backslashes; a name with a dollar.
        "SELECT 1E'\\' , :id, ''",
        "SELECT 1x$a$ , :id, $a$",
    ] {
        assert!(Statement::parse(Dialect::Postgres, text).is_err(), "{text}");
    }
    let text = "SELECT 'é' AS größe, E'a' || 'b', 1.5e3, name FROM p WHERE id = :id";
    assert_eq!(parsed(Dialect::Postgres, text).2, ["id"]);
}

#[test]
fn a_name_cannot_leave_its_quotes() {
    assert_eq!(quote("a\"b"), "\"a\"\"b\"");
}
