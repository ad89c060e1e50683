//! What type a parameter marker has: that of the CAST around it, or of the column that it is compared with.

use super::{Expr, Operator};
use crate::service::Column;
use crate::sql::SqlType;

/// A marker whose place tells nothing.
const ANY: SqlType = SqlType::Varchar(32_672);

/// Types by number of the marker.
pub(super) struct Kinds(Vec<SqlType>);

impl Kinds {
    pub(super) fn new(markers: usize) -> Self {
        Self(vec![ANY; markers])
    }

    /// The marker, if it is one, has this type.
    pub(super) fn set(&mut self, expr: &Expr, kind: SqlType) {
        if let Expr::Marker(index) = expr
            && let Some(slot) = self.0.get_mut(*index)
        {
            *slot = kind;
        }
    }

    /// Looks for markers in an expression over these columns.
    pub(super) fn look(&mut self, expr: &Expr, columns: &[Column]) {
        match expr {
            Expr::Const(_) | Expr::Marker(_) | Expr::Column(_) | Expr::Special(_) | Expr::Aggregate(_) => {}
            Expr::Not(inner) | Expr::Negative(inner) | Expr::IsNull(inner, _) => self.look(inner, columns),
            Expr::Binary(operator, left, right) => {
                if compares(*operator) {
                    self.same(left, right, columns);
                    self.same(right, left, columns);
                }
                self.look(left, columns);
                self.look(right, columns);
            }
            Expr::In(inner, list, _) => {
                for item in list {
                    self.same(inner, item, columns);
                    self.look(item, columns);
                }
                self.look(inner, columns);
            }
            Expr::Like(inner, pattern, ..) => {
                self.look(inner, columns);
                self.look(pattern, columns);
            }
            Expr::Case(branches, otherwise) => {
                for (when, then) in branches {
                    self.look(when, columns);
                    self.look(then, columns);
                }
                if let Some(otherwise) = otherwise {
                    self.look(otherwise, columns);
                }
            }
            Expr::Call(_, arguments) => arguments.iter().for_each(|argument| self.look(argument, columns)),
            Expr::Cast(inner, kind) => {
                self.set(inner, *kind);
                self.look(inner, columns);
            }
        }
    }

    fn same(&mut self, known: &Expr, marker: &Expr, columns: &[Column]) {
        let kind = match known {
            Expr::Column(index) => columns.get(*index).map(|column| column.kind),
            Expr::Cast(_, kind) => Some(*kind),
            _ => None,
        };
        if let Some(kind) = kind {
            self.set(marker, kind);
        }
    }

    pub(super) fn into_list(self) -> Vec<SqlType> {
        self.0
    }
}

fn compares(operator: Operator) -> bool {
    match operator {
        Operator::Equal
        | Operator::NotEqual
        | Operator::Less
        | Operator::LessEqual
        | Operator::Greater
        | Operator::GreaterEqual => true,
        Operator::And
        | Operator::Or
        | Operator::Plus
        | Operator::Minus
        | Operator::Times
        | Operator::Divide
        | Operator::Concat => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use super::*;
    use crate::sql::parse;

    #[test]
    fn a_marker_takes_the_type_of_its_place() {
        let kinds = |sql: &str| {
            let parsed = parse::parse(sql).expect(sql);
            compile(&parsed, "SAMPLE").expect(sql).marker_kinds()
        };
        assert_eq!(
            kinds(
                "select cast(? as varbinary(4)), ? from notes where ? = data and id in (1, ?) and not text < ?"
            ),
            [SqlType::Varbinary(4), ANY, SqlType::Varbinary(1_000), SqlType::Integer, SqlType::Varchar(100)]
        );
        assert_eq!(
            kinds("values (hex(varbinary(?)), cast(? as varchar(9) for bit data))"),
            [SqlType::Varbinary(32_740), SqlType::VarcharBit(9)]
        );
    }
}
