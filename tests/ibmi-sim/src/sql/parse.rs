//! From text to syntax tree.
//!
//! The parser crate does the work with a dialect that takes `name => value` arguments. What Db2 for i writes
//! differently is put right on the tokens before parsing, and on nothing but whole tokens:
//!
//! - `CURRENT TIMESTAMP | DATE | TIME | TIMEZONE | SCHEMA | SERVER` becomes one name, `CURRENT_…`;
//! - `CHAR(n) | VARCHAR(n) FOR BIT DATA` becomes the type name `BITDATA(n)`;
//! - `BX'C1C2'` becomes `VARBINARY(X'C1C2')`;
//! - `FOR READ ONLY`, `FOR FETCH ONLY`, `WITH UR | NC | CS | RS`, `OPTIMIZE FOR n ROWS` at the end go away;
//! - each `?` becomes `?1`, `?2` … so that its number does not depend on the order of compilation.

use sqlparser::ast::Statement;
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer, Word};

use super::SqlError;

/// Deepest nesting of a statement.
const DEPTH: usize = 60;

#[derive(Debug)]
struct Db2;

impl Dialect for Db2 {
    fn is_identifier_start(&self, char: char) -> bool {
        char.is_alphabetic() || matches!(char, '_' | '#' | '@' | '$')
    }

    fn is_identifier_part(&self, char: char) -> bool {
        char.is_alphanumeric() || matches!(char, '_' | '#' | '@' | '$')
    }

    fn is_delimited_identifier_start(&self, char: char) -> bool {
        char == '"'
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_eq_operator(&self) -> bool {
        false
    }
}

/// A parsed statement.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The syntax tree.
    pub statement: Statement,
    /// How many parameter markers it has.
    pub markers: usize,
}

/// Parses one statement; a semicolon at its end is ignored.
///
/// # Errors
/// As Db2 for i words them: an empty text, a wrong token, more than one statement.
pub fn parse(sql: &str) -> Result<Parsed, SqlError> {
    if sql.trim().is_empty() {
        return Err(SqlError::driver("43617", "A string parameter value with zero length was detected."));
    }
    let tokens = Tokenizer::new(&Db2, sql)
        .tokenize()
        .map_err(|error| SqlError::syntax(&error.message, "<IDENTIFIER>"))?;
    let (tokens, markers) = rewrite(tokens);
    let mut statements = Parser::new(&Db2)
        .with_recursion_limit(DEPTH)
        .with_tokens(tokens)
        .parse_statements()
        .map_err(|error| translate(&error))?;
    if statements.len() > 1 {
        return Err(SqlError::syntax(";", "<END-OF-STATEMENT>"));
    }
    let statement =
        statements.pop().ok_or_else(|| SqlError::syntax("<END-OF-STATEMENT>", "SELECT VALUES"))?;
    Ok(Parsed { statement, markers })
}

fn translate(error: &ParserError) -> SqlError {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => {
            return SqlError::new(-101, "54001", "SQL statement too long or complex.");
        }
    };
    let found = message.split("found: ").nth(1).unwrap_or(message);
    let found = found.split(" at Line").next().unwrap_or(found);
    let found = if found == "EOF" { "<END-OF-STATEMENT>" } else { found };
    let valid = message
        .strip_prefix("Expected: ")
        .and_then(|rest| rest.split(", found").next())
        .unwrap_or("<IDENTIFIER>");
    SqlError::syntax(found, valid)
}

fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

fn is(token: Option<&Token>, wanted: &str) -> bool {
    token.and_then(word).is_some_and(|word| word.eq_ignore_ascii_case(wanted))
}

fn name(value: String) -> Token {
    Token::Word(Word { value, quote_style: None, keyword: Keyword::NoKeyword })
}

fn rewrite(tokens: Vec<Token>) -> (Vec<Token>, usize) {
    let tokens: Vec<Token> =
        tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let (mut out, mut markers, mut at) = (Vec::<Token>::with_capacity(tokens.len()), 0, 0);
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1);
        if is(Some(token), "CURRENT") {
            let special = ["TIMESTAMP", "DATE", "TIME", "TIMEZONE", "SCHEMA", "SERVER"];
            if let Some(special) = special.iter().find(|special| is(next, special)) {
                out.push(name(format!("CURRENT_{special}")));
                at += 2;
                continue;
            }
        }
        if is(Some(token), "FOR") && is(next, "BIT") && is(tokens.get(at + 2), "DATA") {
            mark_bit_data(&mut out);
            at += 3;
            continue;
        }
        if let (true, Some(Token::SingleQuotedString(digits))) = (is(Some(token), "BX"), next) {
            let literal = Token::HexStringLiteral(digits.clone());
            out.extend([name("VARBINARY".to_owned()), Token::LParen, literal, Token::RParen]);
            at += 2;
            continue;
        }
        if ends_here(&tokens[at..]) {
            break;
        }
        if matches!(token, Token::Placeholder(text) if text == "?") {
            markers += 1;
            out.push(Token::Placeholder(format!("?{markers}")));
        } else {
            out.push(token.clone());
        }
        at += 1;
    }
    (out, markers)
}

/// Gives the type whose length ends the tokens so far its own name.
fn mark_bit_data(out: &mut [Token]) {
    let start = out.iter().rposition(|token| is(Some(token), "VARCHAR") || is(Some(token), "CHAR"));
    if let Some(start) = start {
        out[start] = name("BITDATA".to_owned());
    }
}

/// Is the rest of the statement only a clause that changes nothing here?
fn ends_here(rest: &[Token]) -> bool {
    let words: Vec<String> = rest
        .iter()
        .map(|token| token.to_string().to_ascii_uppercase())
        .take_while(|word| word != ";")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["FOR", "READ" | "FETCH", "ONLY", ..]
            | ["WITH", "UR" | "NC" | "CS" | "RS"]
            | ["OPTIMIZE", "FOR", _, "ROWS" | "ROW"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_of_the_agent_and_of_foreign_clients_parse() {
        for (sql, markers) in [
            ("select * from sample.employee", 0),
            ("SELECT * FROM SAMPLE.EMPLOYEE WHERE bonus > ?", 1),
            ("values (job_name)", 0),
            ("select current timestamp, current timezone from sysibm.sysdummy1", 0),
            (
                "select D.\"CURRENT_USER\", hex(rtrim(cast(substr(D.ENTRY_DATA, 1, min(length(D.ENTRY_DATA), 16336)) \
                 as varchar(16336) for bit data))) from table(QSYS2.DISPLAY_JOURNAL(JOURNAL_LIBRARY => ?, \
                 STARTING_SEQUENCE => ?, JOURNAL_CODES => 'T,U')) as D fetch first 2000 rows only",
                2,
            ),
            ("select 1 as A from sysibm.sysdummy1 for read only with ur", 0),
            ("select BX'C1', varbinary(X'C1'), cast(? as varbinary(3)) from sysibm.sysdummy1", 1),
            ("call qsys2.qcmdexc(?)", 1),
            ("insert into sample.notes (id, data) values(?, ?)", 2),
            ("delete from sample.notes where id = ?", 1),
            ("select * from qsys2.journal_info where journal_name = 'QAUDJRN' optimize for 1 rows", 0),
        ] {
            assert_eq!(parse(sql).expect(sql).markers, markers, "{sql}");
        }
    }

    #[test]
    fn errors_are_those_of_db2() {
        let error = parse("  ").expect_err("empty");
        assert_eq!((error.state, error.code), (Some("43617"), -99_999));
        let error = parse("select from where").expect_err("wrong");
        assert_eq!((error.state, error.code), (Some("42601"), -104));
        assert!(error.text.starts_with("[SQL0104] Token "), "{error}");
        assert_eq!(parse("select 1 from a; select 2 from b").expect_err("two").code, -104);
        assert_eq!(parse(&format!("values ({})", "(".repeat(500))).expect_err("deep").code, -101);
    }
}
