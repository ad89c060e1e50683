//! Expressions in CEL, the Common Expression Language: for what the typed conditions cannot say.
//!
//! A text is read once. Every name in it is resolved and every type checked then ([`check`]), so that what an
//! expression asks of an event is a short list of values, each made only when the evaluation comes to it.
//!
//! Promises: no text costs more than [`check::MAX_COST`] steps an event, whatever it says; an evaluation that
//! fails says so and is neither true nor false. Refuses: names that no event has, types that do not fit, loops over
//! loops, and anything that could grow without bounds.

mod check;
mod facts;

pub use facts::{ExpressionFault, Variable};

use super::filter::EventSource;
use crate::event::Event;
use crate::severity::Severity;
use cel::common::types::CelBool;
use cel::{Context, Env, IdedExpr, Value};
use check::Checker;
use facts::{Facts, Pattern};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

/// Longest text in bytes.
pub const MAX_BYTES: usize = 2_048;
/// Most opening brackets and question marks: what bounds how deep the parser goes.
const MAX_OPENERS: usize = 64;
/// Most operators, dots and commas, those in texts among them: what bounds how long a chain can be.
const MAX_OPERATORS: usize = 256;
/// Deepest nesting that the parser takes.
const MAX_NESTING: u16 = 24;
/// Longest complaint of the parser that is shown, in characters: it lists everything that it would have taken.
const MAX_COMPLAINT: usize = 160;

/// Functions and operators: the standard ones, and those for texts.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib().with_optional_support(false);
    // It fails only for what is declared twice.
    env.add_extension(cel::extensions::strings).expect("the extension is added once");
    Arc::new(env)
});

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ExpressionError {
    /// Character of the text, counted from 1; 0 where none is to blame.
    pub at: usize,
    /// What is wrong and what to write.
    pub message: String,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            0 => f.write_str(&self.message),
            at => write!(f, "at character {at}: {}", self.message),
        }
    }
}

impl ExpressionError {
    fn whole(message: impl Into<String>) -> Self {
        Self { at: 0, message: message.into() }
    }
}

/// An expression that was read and checked.
pub struct Expression {
    text: String,
    program: IdedExpr,
    variables: Vec<Variable>,
    patterns: Vec<Pattern>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl Expression {
    /// Reads and checks a text.
    ///
    /// # Errors
    /// [`ExpressionError`] says where it goes wrong and why.
    pub fn compile(text: &str) -> Result<Self, ExpressionError> {
        bounded(text)?;
        // The parser is not ours: a text that it trips over is refused like any other that it cannot read.
        let parsed = catch_unwind(|| {
            ENVIRONMENT.parser().max_recursion_depth(MAX_NESTING).parse_with_source_info(text)
        });
        let (program, places) = parsed
            .map_err(|_| ExpressionError::whole("cannot be read"))?
            .map_err(|errors| complaint(text, &errors))?;
        let checked = Checker::new(text, &places).run(program)?;
        Ok(Self {
            text: text.to_owned(),
            program: checked.program,
            variables: checked.variables,
            patterns: checked.patterns,
        })
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it asks of an event.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Whether it is true of an event with this severity.
    ///
    /// # Errors
    /// [`ExpressionFault`] where it is neither true nor false: a number that the event lacks, a division by zero.
    pub fn holds(
        &self,
        event: &Event,
        source: EventSource<'_>,
        severity: Severity,
    ) -> Result<bool, ExpressionFault> {
        let facts = Facts { variables: &self.variables, patterns: &self.patterns, event, source, severity };
        // Nothing that is checked can make the evaluator panic, as far as we know; were it so, collection goes on.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
            context.set_variable_resolver(&facts);
            match Value::resolve_val(&self.program, &context) {
                Ok(value) => match value.downcast_ref::<CelBool>() {
                    Some(value) => Ok(*value.inner()),
                    None => Err(ExpressionFault::new("its value is neither true nor false")),
                },
                Err(error) => Err(facts.fault(&error)),
            }
        }));
        result.unwrap_or_else(|_| Err(ExpressionFault::new("the evaluation failed")))
    }
}

/// Refuses what could take the parser long or deep. Counts are of the whole text, its quoted parts among it, so
/// that nothing hides behind a quote.
fn bounded(text: &str) -> Result<(), ExpressionError> {
    if text.trim().is_empty() {
        return Err(ExpressionError::whole("is empty; write a condition such as event.severity >= 7"));
    }
    if text.len() > MAX_BYTES {
        return Err(ExpressionError::whole(format!("is longer than {MAX_BYTES} bytes")));
    }
    if text.contains('\0') {
        return Err(ExpressionError::whole("holds a NUL character"));
    }
    let count = |set: &[u8]| text.bytes().filter(|byte| set.contains(byte)).count();
    if count(b"([{?") > MAX_OPENERS {
        return Err(ExpressionError::whole(format!(
            "has more than {MAX_OPENERS} brackets and question marks; split it into several rules"
        )));
    }
    if count(b"+-*/%<>=!&|.,:") > MAX_OPERATORS {
        return Err(ExpressionError::whole(format!(
            "has more than {MAX_OPERATORS} operators, dots and commas; split it into several rules"
        )));
    }
    Ok(())
}

/// The first thing that the parser did not like.
fn complaint(text: &str, errors: &cel::ParseErrors) -> ExpressionError {
    let Some(first) = errors.errors.first() else { return ExpressionError::whole("cannot be read") };
    let message: String = first.msg.chars().take(MAX_COMPLAINT).collect();
    // Lines count from 1, columns too, in characters.
    let (line, column) = first.pos;
    let before =
        |lines: usize| text.split_inclusive('\n').take(lines).map(|l| l.chars().count()).sum::<usize>();
    let at = match (usize::try_from(line), usize::try_from(column)) {
        (Ok(line @ 1..), Ok(column)) => before(line - 1) + column,
        _ => 0,
    };
    ExpressionError { at, message }
}

#[cfg(test)]
mod tests;
