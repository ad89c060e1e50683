//! Checks an expression whole: names, types, cost. On the way every name becomes the number of a variable.

use super::ExpressionError;
use super::facts::{Clock, Fact, MAX_VALUES, Pattern, TimePart, Variable, field_of};
use crate::event::dictionary;
use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, ListExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use std::fmt;

/// Most steps of one evaluation.
pub const MAX_COST: u64 = 5_000;
/// Deepest nesting after macros are spelled out.
const MAX_DEPTH: usize = 48;
/// Most different things that one expression asks of an event: each is a character below the letters.
const MAX_VARIABLES: usize = 32;
/// Most regular expressions of one expression.
const MAX_PATTERNS: usize = 8;

/// Reading a text from start to end.
const SCAN: u64 = 10;
/// Making a new text.
const COPY: u64 = 50;

/// What an expression may yield.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Double,
    Text,
    Time,
    /// With the most elements it can have.
    List(Box<Kind>, u64),
}

impl Kind {
    fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Double => "a number with decimals",
            Self::Text => "a text",
            Self::Time => "a time",
            Self::List(..) => "a list",
        })
    }
}

/// A checked part.
struct Part {
    node: IdedExpr,
    kind: Kind,
    cost: u64,
}

/// A checked expression.
pub(super) struct Checked {
    pub(super) program: IdedExpr,
    pub(super) variables: Vec<Variable>,
    pub(super) patterns: Vec<Pattern>,
}

/// Names that `all`, `exists` and `exists_one` give to elements, innermost last.
type Scope = Vec<(String, Kind)>;

type Answer = Result<Part, ExpressionError>;

/// See the module.
pub(super) struct Checker<'s> {
    text: &'s str,
    places: &'s SourceInfo,
    variables: Vec<Variable>,
    patterns: Vec<Pattern>,
    depth: usize,
}

impl<'s> Checker<'s> {
    pub(super) fn new(text: &'s str, places: &'s SourceInfo) -> Self {
        Self { text, places, variables: Vec::new(), patterns: Vec::new(), depth: 0 }
    }

    pub(super) fn run(mut self, program: IdedExpr) -> Result<Checked, ExpressionError> {
        let id = program.id;
        let part = self.part(program, &mut Scope::new())?;
        if part.kind != Kind::Bool {
            return Err(self.wrong(id, format!("is {}; a condition is true or false", part.kind)));
        }
        if part.cost > MAX_COST {
            return Err(ExpressionError::whole(format!(
                "could take {} steps an event, at most {MAX_COST} are allowed; loop over less, or split it into several rules",
                part.cost
            )));
        }
        Ok(Checked { program: part.node, variables: self.variables, patterns: self.patterns })
    }

    /// A complaint about a part of the text.
    fn wrong(&self, id: u64, message: impl Into<String>) -> ExpressionError {
        let start = self.places.offset_for(id).map_or(0, |(start, _)| start as usize);
        // Places are told in characters from 0.
        let at = if start < self.text.chars().count() { start + 1 } else { 0 };
        ExpressionError { at, message: message.into() }
    }

    fn part(&mut self, node: IdedExpr, scope: &mut Scope) -> Answer {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong(node.id, "is nested too deep; split it into several rules"));
        }
        let IdedExpr { id, expr } = node;
        let answer = match expr {
            Expr::Literal(value) => self.literal(id, value),
            Expr::Ident(name) => self.name(id, name, scope),
            Expr::Select(select) => self.select(id, &select),
            Expr::Call(call) => self.call(id, call, scope),
            Expr::Comprehension(comprehension) => self.comprehension(id, *comprehension, scope),
            Expr::List(list) => self.list(id, list, scope),
            Expr::Map(_) | Expr::Struct(_) => Err(self.wrong(id, "maps are not supported")),
            Expr::Unspecified => Err(self.wrong(id, "has an empty part")),
        };
        self.depth -= 1;
        answer
    }

    fn literal(&self, id: u64, value: LiteralValue) -> Answer {
        let kind = match &value {
            LiteralValue::Boolean(_) => Kind::Bool,
            LiteralValue::Int(_) => Kind::Int,
            LiteralValue::Double(_) => Kind::Double,
            LiteralValue::String(_) => Kind::Text,
            LiteralValue::Bytes(_) | LiteralValue::Null | LiteralValue::UInt(_) => {
                return Err(self.wrong(id, "is no text, number, true or false; write one of these"));
            }
        };
        Ok(Part { node: IdedExpr { id, expr: Expr::Literal(value) }, kind, cost: 1 })
    }

    fn name(&self, id: u64, name: String, scope: &Scope) -> Answer {
        if let Some((_, kind)) = scope.iter().rev().find(|(known, _)| *known == name) {
            let kind = kind.clone();
            return Ok(Part { node: IdedExpr { id, expr: Expr::Ident(name) }, kind, cost: 1 });
        }
        Err(self.wrong(
            id,
            match name.as_str() {
                "event" => "`event` alone is no value; write event.user or another of its fields".to_owned(),
                _ => format!("`{name}` is not known; what an event has is written event.{name}"),
            },
        ))
    }

    /// `event.user`, `event.fields.user`, `has(event.user)`.
    fn select(&mut self, id: u64, select: &SelectExpr) -> Answer {
        let (base, keyword) = (&select.operand.expr, select.field.as_str());
        if select.test {
            let of_event = is_event(base) || is_part_of_event(base, "fields");
            let field = field_of(dictionary(), keyword);
            return match (of_event, field) {
                (true, Some((field, _))) => self.variable(id, Variable::Has(field), Kind::Bool, 4),
                (true, None) => Err(self.no_field(id, keyword)),
                (false, _) => Err(self.wrong(id, "has() asks for a field, as in has(event.user)")),
            };
        }
        if is_part_of_event(base, "fields") {
            return self.field(id, keyword);
        }
        if is_part_of_event(base, "values") {
            return self.values(id, keyword);
        }
        if !is_event(base) {
            return Err(self.wrong(id, "only `event` has fields, as in event.user"));
        }
        if let Some(fact) = Fact::named(keyword) {
            let kind = if fact == Fact::Severity { Kind::Int } else { Kind::Text };
            return self.variable(id, Variable::Fact(fact), kind, 4);
        }
        if let Some(clock) = Clock::named(keyword) {
            return self.variable(id, Variable::Time(clock), Kind::Time, 2);
        }
        if matches!(keyword, "fields" | "values") {
            return Err(self.wrong(id, format!("names no field; write event.{keyword}[\"user\"]")));
        }
        self.field(id, keyword)
    }

    fn field(&mut self, id: u64, keyword: &str) -> Answer {
        match field_of(dictionary(), keyword) {
            Some((field, true)) => self.variable(id, Variable::Integer(field), Kind::Int, 4),
            Some((field, false)) => self.variable(id, Variable::Text(field), Kind::Text, 4),
            None => Err(self.no_field(id, keyword)),
        }
    }

    fn values(&mut self, id: u64, keyword: &str) -> Answer {
        let most = MAX_VALUES as u64;
        match field_of(dictionary(), keyword) {
            Some((field, _)) => {
                self.variable(id, Variable::All(field), Kind::List(Box::new(Kind::Text), most), 2 * most)
            }
            None => Err(self.no_field(id, keyword)),
        }
    }

    fn no_field(&self, id: u64, keyword: &str) -> ExpressionError {
        self.wrong(id, format!("`{keyword}` is no field; docs/fields.md lists them"))
    }

    fn variable(&mut self, id: u64, variable: Variable, kind: Kind, cost: u64) -> Answer {
        let number = match self.variables.iter().position(|known| *known == variable) {
            Some(number) => number,
            None if self.variables.len() == MAX_VARIABLES => {
                return Err(self.wrong(id, format!("asks for more than {MAX_VARIABLES} different values")));
            }
            None => {
                self.variables.push(variable);
                self.variables.len() - 1
            }
        };
        // Below 33, which no name begins with.
        let name = char::from(number as u8 + 1).to_string();
        Ok(Part { node: IdedExpr { id, expr: Expr::Ident(name) }, kind, cost })
    }

    fn list(&mut self, id: u64, list: ListExpr, scope: &mut Scope) -> Answer {
        let mut cost = 1;
        let mut kind = None;
        let mut elements = Vec::with_capacity(list.elements.len());
        for element in list.elements {
            let place = element.id;
            let part = self.part(element, scope)?;
            match &kind {
                Some(kind) if *kind != part.kind => {
                    return Err(self.wrong(place, format!("is {} in a list of others", part.kind)));
                }
                Some(_) | None => kind = Some(part.kind),
            }
            cost += part.cost + 1;
            elements.push(part.node);
        }
        let Some(kind) = kind else { return Err(self.wrong(id, "is an empty list")) };
        let kind = Kind::List(Box::new(kind), elements.len() as u64);
        Ok(Part { node: IdedExpr { id, expr: Expr::List(ListExpr::new(elements)) }, kind, cost })
    }

    /// What `all`, `exists` and `exists_one` become.
    fn comprehension(&mut self, id: u64, loops: ComprehensionExpr, scope: &mut Scope) -> Answer {
        if matches!(&loops.accu_init.expr, Expr::List(_)) || loops.iter_var2.is_some() {
            return Err(self.wrong(id, "map and filter are not supported; all, exists and exists_one are"));
        }
        if scope.len() >= 2 {
            return Err(self.wrong(id, "is a loop within a loop, which is not supported"));
        }
        if loops.iter_var == "event" {
            return Err(self.wrong(id, "gives an element the name `event`; call it otherwise"));
        }
        let range = self.part(loops.iter_range, scope)?;
        let Kind::List(element, most) = range.kind else {
            return Err(self.wrong(id, format!("loops over {}, which is no list", range.kind)));
        };
        let start = self.part(loops.accu_init, scope)?;
        scope.push((loops.accu_var.clone(), start.kind));
        scope.push((loops.iter_var.clone(), *element));
        let (condition, step) = (self.part(loops.loop_cond, scope)?, self.part(loops.loop_step, scope)?);
        scope.pop();
        let result = self.part(loops.result, scope)?;
        scope.pop();
        let cost = range.cost + start.cost + result.cost + most * (condition.cost + step.cost + 4);
        let expr = Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: range.node,
            iter_var: loops.iter_var,
            iter_var2: None,
            accu_var: loops.accu_var,
            accu_init: start.node,
            loop_cond: condition.node,
            loop_step: step.node,
            result: result.node,
        }));
        Ok(Part { node: IdedExpr { id, expr }, kind: result.kind, cost })
    }

    fn call(&mut self, id: u64, call: CallExpr, scope: &mut Scope) -> Answer {
        let CallExpr { func_name, target, args } = call;
        if let Some(answer) = self.special(id, &func_name, target.as_deref(), &args, scope) {
            return answer;
        }
        let member = target.is_some();
        let mut nodes = Vec::with_capacity(args.len() + 1);
        let (mut kinds, mut cost) = (Vec::new(), 1);
        for node in target.map(|target| *target).into_iter().chain(args) {
            let part = self.part(node, scope)?;
            nodes.push(part.node);
            kinds.push(part.kind);
            cost += part.cost;
        }
        let (kind, own) = if member {
            method(&func_name, &kinds)
        } else {
            operator(&func_name, &kinds).or_else(|| function(&func_name, &kinds))
        }
        .ok_or_else(|| self.wrong(id, unfit(&func_name, member, &kinds)))?;
        let mut nodes = nodes.into_iter();
        let target = if member { nodes.next().map(Box::new) } else { None };
        let expr = Expr::Call(CallExpr { func_name, target, args: nodes.collect() });
        Ok(Part { node: IdedExpr { id, expr }, kind, cost: cost + own })
    }

    /// Calls that are no calls any more when they were checked: fields by index, parts of times, regular
    /// expressions.
    fn special(
        &mut self,
        id: u64,
        name: &str,
        target: Option<&IdedExpr>,
        args: &[IdedExpr],
        scope: &mut Scope,
    ) -> Option<Answer> {
        let literal = |node: &IdedExpr| match &node.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
            _ => None,
        };
        match (name, target, args) {
            (operators::INDEX, None, [base, key]) => {
                let fields = is_part_of_event(&base.expr, "fields");
                if !fields && !is_part_of_event(&base.expr, "values") {
                    return None;
                }
                Some(match literal(key) {
                    Some(keyword) if fields => self.field(id, &keyword),
                    Some(keyword) => self.values(id, &keyword),
                    None => Err(self.wrong(key.id, "names no field; write its keyword in quotes")),
                })
            }
            ("timestamp", None, [value]) => {
                let time = literal(value).and_then(|text| text.parse::<jiff::Timestamp>().ok());
                Some(match time {
                    Some(time) => {
                        let expr = Expr::Literal(LiteralValue::Int(time.as_microsecond().into()));
                        Ok(Part { node: IdedExpr { id, expr }, kind: Kind::Time, cost: 1 })
                    }
                    None => Err(self.wrong(
                        id,
                        "is no time; write timestamp(\"2026-01-31T00:00:00Z\"), in quotes and with its offset",
                    )),
                })
            }
            ("matches", Some(text), [pattern]) => {
                let (pattern, text) = (pattern.clone(), text.clone());
                Some(self.regular(id, text, literal(&pattern), scope))
            }
            (_, Some(time), []) => {
                let part = TimePart::named(name)?;
                let Expr::Select(select) = &time.expr else {
                    return Some(Err(
                        self.wrong(id, format!("{name}() is asked of event.time or event.local_time"))
                    ));
                };
                let clock = if is_event(&select.operand.expr) { Clock::named(&select.field) } else { None };
                Some(match clock {
                    Some(clock) => self.variable(id, Variable::Part(clock, part), Kind::Int, 10),
                    None => {
                        Err(self.wrong(id, format!("{name}() is asked of event.time or event.local_time")))
                    }
                })
            }
            _ => None,
        }
    }

    /// `text.matches("…")`: the expression is compiled here, once.
    fn regular(&mut self, id: u64, text: IdedExpr, pattern: Option<String>, scope: &mut Scope) -> Answer {
        let Some(pattern) = pattern else {
            return Err(self.wrong(id, "matches() needs a regular expression in quotes"));
        };
        if self.patterns.len() == MAX_PATTERNS {
            return Err(self.wrong(id, format!("has more than {MAX_PATTERNS} regular expressions")));
        }
        let compiled = Pattern::new(&pattern).map_err(|error| {
            let last = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            self.wrong(id, format!("`{pattern}` is no regular expression: {last}"))
        })?;
        let text = self.part(text, scope)?;
        if text.kind != Kind::Text {
            return Err(self.wrong(id, format!("matches() is asked of {}, which is no text", text.kind)));
        }
        self.patterns.push(compiled);
        // At most MAX_PATTERNS.
        let number = (self.patterns.len() - 1) as u8;
        let pattern = self.variable(id, Variable::Pattern(number), Kind::Bool, 1)?;
        let func_name = operators::IN.to_owned();
        let expr = Expr::Call(CallExpr { func_name, target: None, args: vec![text.node, pattern.node] });
        Ok(Part { node: IdedExpr { id, expr }, kind: Kind::Bool, cost: text.cost + 2 * SCAN })
    }
}

fn is_event(expr: &Expr) -> bool {
    matches!(expr, Expr::Ident(name) if name == "event")
}

fn is_part_of_event(expr: &Expr, part: &str) -> bool {
    matches!(expr, Expr::Select(select) if !select.test && select.field == part && is_event(&select.operand.expr))
}

/// What an operator yields for operands, and its cost.
fn operator(name: &str, kinds: &[Kind]) -> Option<(Kind, u64)> {
    use Kind::{Bool, Double, Int, Text, Time};
    Some(match (name, kinds) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [Bool, Bool]) => (Bool, 1),
        (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [Bool]) => (Bool, 1),
        (operators::CONDITIONAL, [Bool, a, b]) if a == b => (a.clone(), 1),
        (operators::EQUALS | operators::NOT_EQUALS, [a, b])
            if !matches!(a, Kind::List(..)) && (a == b || a.is_number() && b.is_number()) =>
        {
            (Bool, 2)
        }
        (
            operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
            [a, b],
        ) if a.is_number() && b.is_number() || matches!((a, b), (Text, Text) | (Time, Time)) => (Bool, 2),
        (operators::ADD, [Text, Text]) => (Text, COPY),
        (operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE, [a, b])
            if a == b && a.is_number() =>
        {
            (a.clone(), 2)
        }
        (operators::MODULO, [Int, Int]) => (Int, 2),
        (operators::NEGATE, [a @ (Int | Double)]) => (a.clone(), 1),
        (operators::IN, [a, Kind::List(element, most)]) if *a == **element => (Bool, 2 * most),
        (operators::INDEX, [Kind::List(element, _), Int]) => ((**element).clone(), 2),
        _ => return None,
    })
}

/// What a function yields for arguments, and its cost.
fn function(name: &str, kinds: &[Kind]) -> Option<(Kind, u64)> {
    use Kind::{Bool, Double, Int, Text};
    Some(match (name, kinds) {
        ("size", [Text]) => (Int, SCAN),
        ("size", [Kind::List(..)]) => (Int, 1),
        ("int", [Int | Double | Text]) => (Int, 4),
        ("double", [Int | Double | Text]) => (Double, 4),
        ("string", [Int | Double | Bool | Text]) => (Text, 4),
        _ => return None,
    })
}

/// What a method yields for its target and arguments, and its cost.
fn method(name: &str, kinds: &[Kind]) -> Option<(Kind, u64)> {
    use Kind::{Bool, Text};
    Some(match (name, kinds) {
        ("size", [_]) => return function(name, kinds),
        ("contains" | "startsWith" | "endsWith", [Text, Text]) => (Bool, SCAN),
        ("lowerAscii" | "upperAscii" | "trim", [Text]) => (Text, COPY),
        _ => return None,
    })
}

/// Why a call is none of those above.
fn unfit(name: &str, member: bool, kinds: &[Kind]) -> String {
    let told = kinds.iter().map(Kind::to_string).collect::<Vec<_>>().join(" and ");
    let shown = match name {
        operators::CONDITIONAL => "? :",
        operators::IN => "in",
        operators::INDEX => "[ ]",
        operators::NEGATE => "-",
        operators::LOGICAL_NOT => "!",
        other => other.trim_matches('_'),
    };
    let symbol = shown.chars().all(|c| !c.is_ascii_alphanumeric()) || shown == "in";
    if symbol {
        return format!("`{shown}` does not take {told}");
    }
    let known = if member {
        ["contains", "startsWith", "endsWith", "matches", "lowerAscii", "upperAscii", "trim", "size"]
            .as_slice()
    } else {
        &["size", "int", "double", "string", "timestamp", "has"]
    };
    if known.contains(&shown) {
        return format!("{shown}() does not take {told}");
    }
    format!("there is no function {shown}(); there are {}", known.join(", "))
}
