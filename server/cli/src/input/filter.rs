//! `--where`: a small language of conditions.
//!
//! ```text
//! expression = conjunction { "or" conjunction }
//! conjunction = negation { "and" negation }
//! negation = "not" negation | "(" expression ")" | condition
//! condition = NAME OPERATOR VALUE | NAME "present"
//! OPERATOR = "=" | "!=" | "<" | "<=" | ">" | ">=" | "^=" | "$=" | "*="
//! ```
//! A value with a space, a parenthesis or a quote in it is written in single or double quotes, `\`
//! before a quote inside.
//!
//! Beside it, `--where` takes the filters of directories: see `ldap_filter`.

use portcullis_proto::gateway::v1::{
    Comparison, ComparisonOperation as Op, Filter, FilterList, Value, ValueType, filter::Kind,
};

use super::assignment::TypedName;
use super::ldap_filter;
use super::typing::{Typing, convert, wrong_type};
use crate::error::CliError;

/// The text shown in `--help`.
pub(crate) const HELP: &str = "\
Conditions, joined by `and`, `or`, `not` and parentheses, such as: 'shell=/bin/bash and uid>=1000'
  NAME = VALUE      equal               NAME != VALUE    not equal, or absent
  NAME ^= VALUE     begins with         NAME $= VALUE    ends with
  NAME *= VALUE     contains            NAME present     has any value
  NAME < <= > >= VALUE                  less, greater
NAME is an attribute, or one of id, name and enabled. Quote a VALUE that has spaces or parentheses in it.

A filter of LDAP (RFC 4515) is taken as well, such as: '(&(shell=/bin/*)(!(uid<=999)))'
  \\xx is a byte, * stands at the beginning or the end of a value; ~= and := are not to be had.";

const MAX_DEPTH: usize = 32;
const MAX_LEN: usize = 16_384;

/// Parses an expression; values get the types that the schema gives them. What begins with a
/// parenthesis may be a directory's filter, too.
pub(crate) fn parse(text: &str, typing: &Typing) -> Result<Filter, CliError> {
    if text.len() > MAX_LEN {
        return Err(CliError::usage("--where is longer than 16384 bytes"));
    }
    let own = expression(text, typing);
    if !text.trim_start().starts_with('(') {
        return own;
    }
    // One condition in parentheses is both, and `*` and `\` mean something in a directory's alone.
    let signs = text.contains(['*', '\\']) && !text.contains(['\'', '"']);
    match own {
        Ok(filter) if !(signs && ldap_filter::is_comparison(&filter)) => Ok(filter),
        Ok(filter) => match ldap_filter::parse(text, typing) {
            Err(wrong) if !wrong.is_filter => Ok(filter),
            read => read.map_err(|wrong| wrong.error),
        },
        Err(error) => ldap_filter::parse(text, typing).map_err(|wrong| {
            let begins = text.trim_start_matches(|c: char| c == '(' || c.is_whitespace());
            match wrong.is_filter || begins.starts_with(['&', '|', '!']) {
                true => wrong.error,
                false => error,
            }
        }),
    }
}

fn expression(text: &str, typing: &Typing) -> Result<Filter, CliError> {
    let mut parser = Parser {
        text,
        at: 0,
        typing,
    };
    let filter = parser.expression(0)?;
    match parser.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.wrong("expected `and`, `or` or the end")),
    }
}

/// All of these at once.
pub(crate) fn all(filters: Vec<Filter>) -> Filter {
    join(filters, Kind::All)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    typing: &'a Typing,
}

impl<'a> Parser<'a> {
    fn expression(&mut self, depth: usize) -> Result<Filter, CliError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("conditions are nested too deeply (32 at most)"));
        }
        let mut parts = vec![self.conjunction(depth)?];
        while self.keyword("or") {
            parts.push(self.conjunction(depth)?);
        }
        Ok(join(parts, Kind::Any))
    }

    fn conjunction(&mut self, depth: usize) -> Result<Filter, CliError> {
        let mut parts = vec![self.negation(depth)?];
        while self.keyword("and") {
            parts.push(self.negation(depth)?);
        }
        Ok(join(parts, Kind::All))
    }

    fn negation(&mut self, depth: usize) -> Result<Filter, CliError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("conditions are nested too deeply (32 at most)"));
        }
        if self.keyword("not") {
            return Ok(not(self.negation(depth + 1)?));
        }
        if self.symbol("(") {
            let inner = self.expression(depth + 1)?;
            if !self.symbol(")") {
                return Err(self.wrong("expected `)`"));
            }
            return Ok(inner);
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Filter, CliError> {
        let start = self.at;
        let name = self.word(|c| c.is_whitespace() || "()=!<>^$*'\"".contains(c));
        if name.is_empty() {
            return Err(self.wrong("expected an attribute's name"));
        }
        let mut of: TypedName = name
            .parse()
            .map_err(|error| self.wrong_at(start, &format!("{error}")))?;
        match self.typing.spelling(&of.name) {
            Some(known) => of.name = known.to_owned(),
            None if of.name.contains(';') => {
                let why = "an attribute with options (`;`) cannot be asked for";
                return Err(self.wrong_at(start, why));
            }
            None => {}
        }
        if self.keyword("present") {
            return Ok(compare(Op::Present, pseudo(&of.name).0, None));
        }
        let operator = OPERATORS
            .iter()
            .find(|(sign, _)| self.symbol(sign))
            .map(|(_, operator)| *operator)
            .ok_or_else(|| {
                self.wrong("expected =, !=, <, <=, >, >=, ^=, $=, *= or `present` after the name")
            })?;
        let text = self.value()?;
        let (attribute, fixed) = pseudo(&of.name);
        let value = match fixed {
            None => self.typing.value(&of, &text)?,
            Some(value_type) => Value {
                kind: Some(convert(value_type, &text).ok_or_else(|| wrong_type(name, value_type))?),
            },
        };
        Ok(operator.build(attribute, value))
    }

    fn value(&mut self) -> Result<String, CliError> {
        let Some(quote @ ('\'' | '"')) = self.peek() else {
            let bare = self.word(|c| c.is_whitespace() || "()'\"".contains(c));
            return if bare.is_empty() {
                Err(self.wrong("expected a value (an empty one is written \"\")"))
            } else {
                Ok(bare.to_owned())
            };
        };
        let open = self.at;
        let mut out = String::new();
        let mut chars = self.text[open + 1..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at = open + 1 + offset + 1;
                    return Ok(out);
                }
                '\\' => out.extend(chars.next().map(|(_, escaped)| escaped)),
                c => out.push(c),
            }
        }
        Err(self.wrong_at(open, "a quote is opened and never closed"))
    }

    /// The next character that is no white space, to which it moves.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        let rest = rest.trim_start();
        self.at = self.text.len() - rest.len();
        rest.chars().next()
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        self.peek();
        let found = self.text[self.at..].starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        self.peek();
        let rest = &self.text[self.at..];
        let found = rest.strip_prefix(keyword).is_some_and(|rest| {
            rest.chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || c == '(' || c == ')')
        });
        if found {
            self.at += keyword.len();
        }
        found
    }

    fn word(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        self.peek();
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn wrong(&self, what: &str) -> CliError {
        self.wrong_at(self.at, what)
    }

    fn wrong_at(&self, at: usize, what: &str) -> CliError {
        let column = self.text[..at].chars().count() + 1;
        CliError::Usage(format!("--where, character {column}: {what}"))
    }
}

#[derive(Clone, Copy)]
enum Operator {
    Plain(Op),
    NotEqual,
    /// Not the opposite one, and not absent.
    Strict(Op),
}

/// The longer ones first: `<=` is not `<`.
const OPERATORS: [(&str, Operator); 9] = [
    ("!=", Operator::NotEqual),
    ("<=", Operator::Plain(Op::LessOrEqual)),
    (">=", Operator::Plain(Op::GreaterOrEqual)),
    ("^=", Operator::Plain(Op::StartsWith)),
    ("$=", Operator::Plain(Op::EndsWith)),
    ("*=", Operator::Plain(Op::Contains)),
    ("=", Operator::Plain(Op::Equals)),
    ("<", Operator::Strict(Op::GreaterOrEqual)),
    (">", Operator::Strict(Op::LessOrEqual)),
];

impl Operator {
    fn build(self, attribute: &str, value: Value) -> Filter {
        match self {
            Self::Plain(op) => compare(op, attribute, Some(value)),
            Self::NotEqual => not(compare(Op::Equals, attribute, Some(value))),
            Self::Strict(opposite) => join(
                vec![
                    compare(Op::Present, attribute, None),
                    not(compare(opposite, attribute, Some(value))),
                ],
                Kind::All,
            ),
        }
    }
}

/// What every object has beside its attributes, and its type.
pub(super) fn pseudo(name: &str) -> (&str, Option<ValueType>) {
    match name {
        "id" | "__id__" => ("__id__", Some(ValueType::Text)),
        "name" | "__name__" => ("__name__", Some(ValueType::Text)),
        "enabled" | "__enabled__" => ("__enabled__", Some(ValueType::Boolean)),
        attribute => (attribute, None),
    }
}

pub(super) fn compare(operation: Op, attribute: &str, value: Option<Value>) -> Filter {
    Filter {
        kind: Some(Kind::Comparison(Comparison {
            operation: operation.into(),
            attribute: attribute.to_owned(),
            value,
        })),
    }
}

pub(super) fn not(filter: Filter) -> Filter {
    Filter {
        kind: Some(Kind::Negation(Box::new(filter))),
    }
}

fn join(mut parts: Vec<Filter>, kind: fn(FilterList) -> Kind) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            Filter {
                kind: Some(kind(FilterList { filters: parts })),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::typing::tests::typing;
    use super::*;
    use crate::detail::value_text;

    /// The tree, written out so that it can be read.
    fn tree(filter: &Filter) -> String {
        let all = |list: &FilterList| list.filters.iter().map(tree).collect::<Vec<_>>().join(" ");
        match filter.kind.as_ref().unwrap() {
            Kind::Comparison(c) => {
                let op = c.operation().as_str_name();
                let op = op.trim_start_matches("COMPARISON_OPERATION_");
                let value = c.value.as_ref().map(value_text).unwrap_or_default();
                format!("[{} {op} {value}]", c.attribute)
            }
            Kind::All(list) => format!("(all {})", all(list)),
            Kind::Any(list) => format!("(any {})", all(list)),
            Kind::Negation(inner) => format!("(not {})", tree(inner)),
        }
    }

    fn read(text: &str) -> String {
        tree(&parse(text, &typing()).unwrap())
    }

    #[test]
    fn and_binds_closer_than_or_and_values_are_typed() {
        assert_eq!(
            read("shell=/bin/bash and uid>=1000 or name^=svc"),
            "(any (all [shell EQUALS /bin/bash] [uid GREATER_OR_EQUAL 1000]) [__name__ STARTS_WITH svc])"
        );
        assert_eq!(
            read("not (enabled=true or groups present)"),
            "(not (any [__enabled__ EQUALS true] [groups PRESENT ]))"
        );
        assert_eq!(
            read("uid < 5"),
            "(all [uid PRESENT ] (not [uid GREATER_OR_EQUAL 5]))"
        );
        assert_eq!(read("shell != x"), "(not [shell EQUALS x])");
    }

    #[test]
    fn quotes_hold_what_would_end_a_value() {
        assert_eq!(read(r#"shell="a b) or c""#), "[shell EQUALS a b) or c]");
        assert_eq!(read(r"shell='it\'s'"), "[shell EQUALS it's]");
        assert_eq!(read(r#"shell="""#), "[shell EQUALS ]");
        assert_eq!(
            read("groups=orders and shell$=sh"),
            "(all [groups EQUALS orders] [shell ENDS_WITH sh])"
        );
    }

    #[test]
    fn mistakes_are_pointed_at() {
        for (text, expected) in [
            ("", "--where, character 1: expected an attribute's name"),
            ("uid", "--where, character 4: expected =, !="),
            ("uid=", "--where, character 5: expected a value"),
            (
                "uid=5 shell=x",
                "--where, character 7: expected `and`, `or`",
            ),
            ("(uid=5", "--where, character 7: expected `)`"),
            ("shell='x", "--where, character 7: a quote is opened"),
            ("uid=five", "`uid` takes a whole number"),
            ("shel=x", "the resource has no attribute `shel`"),
            ("enabled=maybe", "`enabled` takes true or false"),
        ] {
            let error = parse(text, &typing()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_filter_of_a_directory_gives_the_same_tree() {
        for (text, expected) in [
            (
                r"(&(SHELL=/bin/*)(|(uid>=1000)(!(groups=*))))",
                "(all [shell STARTS_WITH /bin/] (any [uid GREATER_OR_EQUAL 1000] (not [groups PRESENT ])))",
            ),
            (
                r"(shell=a b, \28c\29 \5c\2A=)",
                r"[shell EQUALS a b, (c) \*=]",
            ),
            ("(shell=* )", "[shell ENDS_WITH  ]"),
            ("(shell=*sh)", "[shell ENDS_WITH sh]"),
            ("(shell=*as*)", "[shell CONTAINS as]"),
            ("(shell=)", "[shell EQUALS ]"),
            ("(name=ada)", "[__name__ EQUALS ada]"),
            ("(enabled=TRUE)", "[__enabled__ EQUALS true]"),
            (" ( & (uid=5) ) ", "(all [uid EQUALS 5])"),
            ("(&)", "(all )"),
            // Bytes that are no text: base64.
            (r"(shell=\c3\a4)", "[shell EQUALS ä]"),
            (r"(shell=\ff\00)", "[shell EQUALS base64:/wA=]"),
            // The language of its own stays what it was.
            (
                "(shell=a or uid=5)",
                "(any [shell EQUALS a] [uid EQUALS 5])",
            ),
            (
                "(shell=a) and uid=5",
                "(all [shell EQUALS a] [uid EQUALS 5])",
            ),
            ("(shell=\"a*\")", "[shell EQUALS a*]"),
            ("(shell*=a)", "[shell CONTAINS a]"),
            ("shell=a*", "[shell EQUALS a*]"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_filter_of_a_directory_cannot_ask_for_is_said() {
        for (text, expected) in [
            ("(shell~=x)", "an approximate match"),
            ("(shell:=x)", "an extensible match"),
            ("(shell:2.5.13.2:=x)", "an extensible match"),
            ("(:dn:2.5.13.2:=x)", "an extensible match"),
            ("(shell;lang-de=x)", "with options"),
            ("(shell=a*b)", "several parts around *"),
            ("(&(uid>=1*)(shell=x))", "character 9: * has no meaning"),
            ("(&(shel=x))", "no attribute `shel`"),
            ("(&(uid=five))", "`uid` takes a whole number"),
            ("(&(pin=1))", "a secret cannot be searched for"),
            (r"(&(shell=\2))", "character 10: two hexadecimal digits"),
            (r"(shell=\zz)", "character 8: two hexadecimal digits"),
            (r"(&(shell=\+1))", "two hexadecimal digits"),
            ("(&(shell=a(b)))", "write ( as \\28"),
            ("(&(shell=a)", "character 12: expected `)`"),
            ("(&(shell=a)))", "character 13: the filter has ended"),
            ("(&shell=a)", "expected `)`"),
        ] {
            let error = parse(text, &typing()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let wide = format!("(|{})", "(uid=1)".repeat(300));
        let deep = format!("{}(uid=1){}", "(!".repeat(4_000), ")".repeat(4_000));
        for (text, expected) in [(wide, "too many parts"), (deep, "too deeply")] {
            let error = parse(&text, &typing()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        for open in ["(", "not "] {
            let text = format!("{}uid=1", open.repeat(4_000));
            let error = parse(&text, &typing()).unwrap_err().to_string();
            assert!(error.contains("too deeply"), "{error}");
        }
    }
}
