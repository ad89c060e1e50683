//! From syntax tree to a plan, once per prepared statement.

mod action;
mod expression;
mod markers;

pub use action::{Action, Change, compile_action};
pub use expression::{Call, Expr, Operator, Special};

use sqlparser::ast::{
    self, Distinct, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, LimitClause, OrderByKind,
    SelectItem, SetExpr, SetOperator, SetQuantifier, Statement, TableFactor,
};

use super::parse::Parsed;
use super::{SqlError, SqlType};
use crate::service::{self, JOURNAL_PARAMETERS, Table, TableFunction};
use expression::Scope;

/// One output column.
#[derive(Debug, Clone)]
pub struct Output {
    /// Name; `00001` and so on where the statement gives none.
    pub name: String,
    /// Type.
    pub kind: SqlType,
    /// May it be NULL?
    pub nullable: bool,
    /// How it is made.
    pub expr: Expr,
}

/// Where rows come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// One row without columns: VALUES.
    One,
    /// A table or view.
    Table(&'static Table),
    /// QSYS2.DISPLAY_JOURNAL with its arguments by position.
    Journal(&'static Table, Vec<Option<Expr>>),
    /// Another table function with its arguments by position.
    Function(&'static TableFunction, Vec<Option<Expr>>),
}

/// A compiled query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Where rows come from.
    pub source: Source,
    /// WHERE.
    pub filter: Option<Expr>,
    /// Select list.
    pub outputs: Vec<Output>,
    /// Aggregate functions, which `Expr::Aggregate` numbers.
    pub aggregates: Vec<(Call, Option<Expr>)>,
    /// ORDER BY: expression and whether descending.
    pub order: Vec<(Expr, bool)>,
    /// FETCH FIRST or LIMIT.
    pub limit: Option<Expr>,
    /// OFFSET.
    pub offset: Option<Expr>,
    /// SELECT DISTINCT.
    pub distinct: bool,
    /// VALUES of more than one row.
    pub values: Vec<Vec<Expr>>,
    /// Queries whose rows follow: UNION ALL.
    pub union: Vec<Query>,
    /// Parameter markers.
    pub markers: usize,
}

impl Query {
    /// Type of each parameter marker, as far as its place tells it.
    #[must_use]
    pub fn marker_kinds(&self) -> Vec<SqlType> {
        let mut kinds = markers::Kinds::new(self.markers);
        std::iter::once(self).chain(&self.union).for_each(|part| part.look_at_markers(&mut kinds));
        kinds.into_list()
    }

    fn look_at_markers(&self, kinds: &mut markers::Kinds) {
        let (columns, arguments) = match &self.source {
            Source::One => (&[][..], &[][..]),
            Source::Table(table) => (table.columns.as_slice(), &[][..]),
            Source::Journal(table, arguments) => (table.columns.as_slice(), arguments.as_slice()),
            Source::Function(function, arguments) => {
                (function.table.columns.as_slice(), arguments.as_slice())
            }
        };
        arguments.iter().flatten().for_each(|argument| kinds.look(argument, columns));
        let order = self.order.iter().map(|(expr, _)| expr);
        let aggregates = self.aggregates.iter().filter_map(|(_, inner)| inner.as_ref());
        let outputs = self.outputs.iter().map(|output| &output.expr).chain(self.values.iter().flatten());
        let others = self.filter.iter().chain(&self.limit).chain(&self.offset);
        outputs.chain(others).chain(order).chain(aggregates).for_each(|expr| kinds.look(expr, columns));
    }
}

/// Compiles a parsed statement. `schema` is where names without one are looked for.
///
/// # Errors
/// SQL errors as Db2 words them; SQL0255 for what is not supported here.
pub fn compile(parsed: &Parsed, schema: &str) -> Result<Query, SqlError> {
    let query = match &parsed.statement {
        Statement::Query(query) => query,
        Statement::Insert(insert) => return Err(read_only(&insert.table.to_string())),
        Statement::Update(update) => return Err(read_only(&update.table.relation.to_string())),
        Statement::Call(function) => {
            return Err(SqlError::new(
                -440,
                "42884",
                format!("Routine {} in *N not found with specified parameters.", function.name),
            ));
        }
        other => {
            let text = other.to_string();
            return Err(read_only(text.split_whitespace().nth(2).unwrap_or("*N")));
        }
    };
    if query.with.is_some() || query.for_clause.is_some() || !query.pipe_operators.is_empty() {
        return Err(SqlError::unsupported("common table expression"));
    }
    let mut compiled = match query.body.as_ref() {
        SetExpr::Select(select) => compile_select(select, schema)?,
        SetExpr::Values(values) => compile_values(values)?,
        SetExpr::SetOperation { .. } => compile_union(&query.body, schema)?,
        _ => return Err(SqlError::unsupported("set operation or nested query")),
    };
    compiled.markers = parsed.markers;
    if let Some(order) = &query.order_by {
        compile_order(order, &mut compiled)?;
    }
    compile_limits(query, &mut compiled)?;
    Ok(compiled)
}

/// Tables of the simulator cannot be changed through SQL.
fn read_only(name: &str) -> SqlError {
    let (schema, name) = name.rsplit_once('.').unwrap_or(("*N", name));
    SqlError::not_authorized(&schema.to_uppercase(), &name.to_uppercase(), "*FILE")
}

fn empty(source: Source) -> Query {
    Query {
        source,
        filter: None,
        outputs: Vec::new(),
        aggregates: Vec::new(),
        order: Vec::new(),
        limit: None,
        offset: None,
        distinct: false,
        values: Vec::new(),
        union: Vec::new(),
        markers: 0,
    }
}

/// UNION ALL: each part runs once, one after the other, and all of their rows are the result.
fn compile_union(body: &SetExpr, schema: &str) -> Result<Query, SqlError> {
    let mut parts = Vec::new();
    collect_union(body, schema, &mut parts)?;
    let mut first = parts.remove(0);
    if parts.iter().any(|part| part.outputs.len() != first.outputs.len()) {
        return Err(SqlError::new(-421, "42826", "Number of UNION operands not equal."));
    }
    if std::iter::once(&first).chain(&parts).any(|part| !part.aggregates.is_empty() || part.distinct) {
        return Err(SqlError::unsupported("UNION ALL of aggregates"));
    }
    first.union = parts;
    Ok(first)
}

fn collect_union(body: &SetExpr, schema: &str, parts: &mut Vec<Query>) -> Result<(), SqlError> {
    match body {
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
            collect_union(left, schema, parts)?;
            collect_union(right, schema, parts)
        }
        SetExpr::Select(select) => {
            parts.push(compile_select(select, schema)?);
            Ok(())
        }
        _ => Err(SqlError::unsupported("set operation other than UNION ALL of selects")),
    }
}

fn compile_values(values: &ast::Values) -> Result<Query, SqlError> {
    let mut query = empty(Source::One);
    let mut scope = Scope::none();
    for row in &values.rows {
        let row: Vec<Expr> = row.iter().map(|expr| scope.compile(expr)).collect::<Result<_, _>>()?;
        query.values.push(row);
    }
    for (index, expr) in query.values.first().into_iter().flatten().enumerate() {
        query.outputs.push(Output {
            name: format!("{:05}", index + 1),
            kind: scope.kind(expr),
            nullable: true,
            expr: expr.clone(),
        });
    }
    Ok(query)
}

fn compile_select(select: &ast::Select, schema: &str) -> Result<Query, SqlError> {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(list, _) if list.is_empty());
    if grouped || select.having.is_some() || select.into.is_some() || select.qualify.is_some() {
        return Err(SqlError::unsupported("GROUP BY, HAVING or INTO"));
    }
    let [from] = select.from.as_slice() else {
        return Err(if select.from.is_empty() {
            SqlError::syntax("<END-OF-STATEMENT>", ", FROM INTO")
        } else {
            SqlError::unsupported("join")
        });
    };
    if !from.joins.is_empty() {
        return Err(SqlError::unsupported("join"));
    }
    let (source, table, alias) = compile_from(&from.relation, schema)?;
    let mut query = empty(source);
    let mut scope = Scope::of(table, alias);
    query.distinct = match &select.distinct {
        None | Some(Distinct::All) => false,
        Some(Distinct::Distinct) => true,
        Some(Distinct::On(_)) => return Err(SqlError::unsupported("DISTINCT ON")),
    };
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = match expr {
                    ast::Expr::Identifier(name) => Some(expression::fold(name)),
                    ast::Expr::CompoundIdentifier(names) => names.last().map(expression::fold),
                    _ => None,
                };
                scope.output(expr, name, &mut query.outputs)?;
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                scope.output(expr, Some(expression::fold(alias)), &mut query.outputs)?;
            }
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                for (index, column) in table.columns.iter().enumerate() {
                    query.outputs.push(Output {
                        name: column.name.to_owned(),
                        kind: column.kind,
                        nullable: column.nullable,
                        expr: Expr::Column(index),
                    });
                }
            }
            SelectItem::ExprWithAliases { .. } => {
                return Err(SqlError::unsupported("several names for one column"));
            }
        }
    }
    query.aggregates = scope.take_aggregates();
    query.filter = select.selection.as_ref().map(|expr| scope.compile(expr)).transpose()?;
    if !scope.take_aggregates().is_empty() {
        return Err(SqlError::new(-120, "42903", "Use of aggregate function or OLAP function not valid."));
    }
    Ok(query)
}

fn compile_from(
    factor: &TableFactor,
    schema: &str,
) -> Result<(Source, &'static Table, Option<String>), SqlError> {
    match factor {
        TableFactor::Table { name, alias, args: None, .. } => {
            let (schema, table) = split_name(name, schema);
            let found = service::table(&schema, &table)
                .ok_or_else(|| SqlError::not_found(&schema, &table, "*FILE"))?;
            Ok((Source::Table(found), found, alias.as_ref().map(|alias| expression::fold(&alias.name))))
        }
        TableFactor::TableFunction { expr: ast::Expr::Function(function), alias } => {
            let (schema, name) = split_name(&function.name, "QSYS2");
            let alias = alias.as_ref().map(|alias| expression::fold(&alias.name));
            if let Some(found) = service::function(&schema, &name) {
                let names: Vec<&str> = found.parameters.iter().map(|parameter| parameter.name).collect();
                let arguments = compile_arguments(function, &schema, &name, &names)?;
                let missing =
                    found.parameters.iter().zip(&arguments).any(|(p, given)| p.required && given.is_none());
                if missing {
                    return Err(no_match(&schema, &name));
                }
                return Ok((Source::Function(found, arguments), &found.table, alias));
            }
            let table = service::journal_table();
            if schema != table.schema || name != table.name {
                return Err(SqlError::not_found(&schema, &name, "*N"));
            }
            let arguments = compile_arguments(function, &schema, &name, &JOURNAL_PARAMETERS)?;
            if arguments[0].is_none() || arguments[1].is_none() {
                return Err(no_match(&schema, &name));
            }
            Ok((Source::Journal(table, arguments), table, alias))
        }
        _ => Err(SqlError::unsupported("nested table expression")),
    }
}

fn split_name(name: &ast::ObjectName, schema: &str) -> (String, String) {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident().map(expression::fold)).collect();
    match parts.as_slice() {
        [table] => (schema.to_owned(), table.clone()),
        [.., schema, table] => (schema.clone(), table.clone()),
        [] => (schema.to_owned(), String::new()),
    }
}

/// No function of that name takes these arguments.
fn no_match(schema: &str, name: &str) -> SqlError {
    let text = format!("Routine {name} in {schema} not found with specified parameters.");
    SqlError::new(-440, "42884", text)
}

/// Arguments by position; none for those that are not given.
fn compile_arguments(
    function: &ast::Function,
    schema: &str,
    name: &str,
    names: &[&str],
) -> Result<Vec<Option<Expr>>, SqlError> {
    let no_match = || no_match(schema, name);
    let mut arguments = vec![None; names.len()];
    let FunctionArguments::List(list) = &function.args else { return Err(no_match()) };
    let mut scope = Scope::none();
    for (position, argument) in list.args.iter().enumerate() {
        let (position, value) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (position, value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                let name = expression::fold(name);
                (names.iter().position(|known| *known == name).ok_or_else(no_match)?, value)
            }
            _ => return Err(no_match()),
        };
        let slot = arguments.get_mut(position).ok_or_else(no_match)?;
        if slot.is_some() {
            return Err(no_match());
        }
        *slot = Some(scope.compile(value)?);
    }
    Ok(arguments)
}

fn compile_order(order: &ast::OrderBy, query: &mut Query) -> Result<(), SqlError> {
    let OrderByKind::Expressions(list) = &order.kind else {
        return Err(SqlError::unsupported("ORDER BY ALL"));
    };
    let mut scope = match &query.source {
        Source::One => Scope::none(),
        Source::Table(table) | Source::Journal(table, _) => Scope::of(table, None),
        Source::Function(function, _) => Scope::of(&function.table, None),
    };
    scope.accept_any_alias();
    for item in list {
        let descending = matches!(item.options.sort, Some(ast::OrderBySort::Desc));
        let by_output = match &item.expr {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Number(number, _) => {
                    number.to_string().parse::<usize>().ok().and_then(|n| n.checked_sub(1))
                }
                _ => None,
            },
            ast::Expr::Identifier(name) => {
                let name = expression::fold(name);
                query.outputs.iter().position(|output| output.name == name)
            }
            _ => None,
        };
        let expr = match by_output {
            Some(index) => query
                .outputs
                .get(index)
                .map(|output| output.expr.clone())
                .ok_or_else(|| SqlError::new(-125, "42805", "ORDER BY column number not valid."))?,
            None => scope.compile(&item.expr)?,
        };
        query.order.push((expr, descending));
    }
    Ok(())
}

fn compile_limits(query: &ast::Query, compiled: &mut Query) -> Result<(), SqlError> {
    let mut scope = Scope::none();
    if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
        compiled.limit = limit.as_ref().map(|expr| scope.compile(expr)).transpose()?;
        compiled.offset = offset.as_ref().map(|offset| scope.compile(&offset.value)).transpose()?;
    }
    if let Some(fetch) = &query.fetch {
        if fetch.percent || fetch.with_ties {
            return Err(SqlError::syntax("PERCENT", "ROW ROWS"));
        }
        compiled.limit = Some(match &fetch.quantity {
            Some(expr) => scope.compile(expr)?,
            None => Expr::Const(super::Value::Int(1)),
        });
    }
    Ok(())
}
