//! Expressions, by precedence climbing.
//!
//! Precedence as in PostgreSQL and DuckDB, from loose to tight: `OR`; `AND`; `NOT`; `IS`;
//! comparisons; `BETWEEN`, `IN`, `LIKE`; `||`; `+ -`; `* / // %`; `AT TIME ZONE`; sign;
//! `[i]`, `::`, `.`.

use super::complaint::too_deep;
use super::{DEPTH_MAX, Parsed, Parser};
use crate::ast::{BinaryOperator, Expr, ExprKind, IsTest, Span, UnaryOperator};
use crate::error::Diagnostic;
use crate::lexer::{Symbol, TokenKind};

/// How tightly operators bind; larger is tighter. The printer puts parentheses by the same
/// table.
pub(crate) mod power {
    use crate::ast::BinaryOperator;

    pub(crate) const LOWEST: u8 = 0;
    pub(crate) const OR: u8 = 10;
    pub(crate) const AND: u8 = 20;
    pub(crate) const NOT: u8 = 30;
    pub(crate) const IS: u8 = 40;
    pub(crate) const COMPARE: u8 = 50;
    pub(crate) const RANGE: u8 = 60;
    pub(crate) const CONCAT: u8 = 70;
    pub(crate) const ADD: u8 = 80;
    pub(crate) const MULTIPLY: u8 = 90;
    pub(crate) const AT_ZONE: u8 = 100;
    pub(crate) const SIGN: u8 = 110;
    pub(crate) const POSTFIX: u8 = 120;

    pub(crate) fn of(operator: BinaryOperator) -> u8 {
        match operator {
            BinaryOperator::Or => OR,
            BinaryOperator::And => AND,
            BinaryOperator::Equal
            | BinaryOperator::NotEqual
            | BinaryOperator::Less
            | BinaryOperator::LessOrEqual
            | BinaryOperator::Greater
            | BinaryOperator::GreaterOrEqual => COMPARE,
            BinaryOperator::Concat => CONCAT,
            BinaryOperator::Add | BinaryOperator::Subtract => ADD,
            BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::IntegerDivide
            | BinaryOperator::Modulo => MULTIPLY,
        }
    }
}

/// Operators of other systems that are words, with what to write here.
const FOREIGN_OPERATORS: [(&str, &str); 9] = [
    ("SIMILAR", "write `LIKE`"),
    ("RLIKE", "write `LIKE`"),
    ("REGEXP", "write `LIKE`"),
    ("GLOB", "write `LIKE`"),
    ("MOD", "write `%`"),
    ("DIV", "write `//`"),
    ("XOR", "write `<>` between truth values"),
    ("COLLATE", "texts compare by their bytes; leave it out"),
    ("OVERLAPS", "compare the ends of the two periods"),
];

/// What continues an expression.
#[derive(Clone, Copy)]
enum Infix {
    Binary(BinaryOperator),
    Is,
    NullTest {
        negated: bool,
    },
    In {
        negated: bool,
    },
    Between {
        negated: bool,
    },
    Like {
        negated: bool,
        case_insensitive: bool,
    },
    AtTimeZone,
    Cast,
    Index,
    Field,
}

impl Infix {
    fn power(self) -> u8 {
        match self {
            Infix::Binary(operator) => power::of(operator),
            Infix::Is | Infix::NullTest { .. } => power::IS,
            Infix::In { .. } | Infix::Between { .. } | Infix::Like { .. } => power::RANGE,
            Infix::AtTimeZone => power::AT_ZONE,
            Infix::Cast | Infix::Index | Infix::Field => power::POSTFIX,
        }
    }
}

impl Parser<'_> {
    /// A whole expression.
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.child(power::LOWEST, &mut 0)
    }

    /// `(expr)`; the span is the expression's, parentheses included.
    pub(super) fn parenthesised_expr(&mut self, purpose: &str) -> Parsed<Expr> {
        let open = self.expect_symbol(Symbol::LeftParen, purpose)?;
        let mut expr = self.expr()?;
        self.close(open, Symbol::RightParen, false)?;
        expr.span = self.since(open);
        Ok(expr)
    }

    /// An expression of operators that bind at least this tightly. `tallest` becomes the
    /// height of its tree if that is more.
    pub(super) fn child(&mut self, min: u8, tallest: &mut usize) -> Parsed<Expr> {
        self.nested(|parser| {
            let mut height = 0;
            let first = parser.prefix(&mut height)?;
            let expr = parser.climb(first, min, &mut height)?;
            *tallest = height.max(*tallest);
            Ok(expr)
        })
    }

    /// Goes on behind `left`. `height`: before, of what is below `left`; after, of the tree.
    pub(super) fn climb(&mut self, left: Expr, min: u8, height: &mut usize) -> Parsed<Expr> {
        let mut left = left;
        let mut compared = None;
        *height += 1;
        loop {
            if *height > DEPTH_MAX {
                return Err(too_deep(left.span));
            }
            let Some(infix) = self.infix_ahead().filter(|infix| infix.power() >= min) else {
                self.refuse_foreign_operator()?;
                return Ok(left);
            };
            let is_comparison = infix.power() == power::COMPARE;
            if let (true, Some(first)) = (is_comparison, compared) {
                return Err(self.chained_comparison(first));
            }
            compared = is_comparison.then(|| self.span());
            left = self.infix(left, infix, height)?;
            *height += 1;
        }
    }

    /// Operators of other systems are words that would else be read as something missing.
    fn refuse_foreign_operator(&self) -> Parsed<()> {
        if self.kind() != TokenKind::Word || self.infix_ahead().is_some() {
            return Ok(());
        }
        if self.is_word("NOT") {
            let mut diagnostic = self.unexpected("an operator");
            diagnostic.hint = Some(
                "`NOT` stands before a value, or in `NOT IN`, `NOT BETWEEN`, `NOT LIKE`, `IS NOT`"
                    .to_owned(),
            );
            return Err(diagnostic);
        }
        let known = FOREIGN_OPERATORS
            .iter()
            .find(|(word, _)| self.is_word(word));
        match known {
            Some((word, hint)) if self.starts_operand(1) => Err(Box::new(
                Diagnostic::error(format!("there is no operator `{word}`"), self.span())
                    .with_hint(*hint),
            )),
            _ => Ok(()),
        }
    }

    fn chained_comparison(&self, first: Span) -> Box<Diagnostic> {
        let (one, two) = (first.text(self.source), self.text());
        Box::new(
            Diagnostic::error("comparisons cannot be chained", self.span())
                .with_related(first, "after this one")
                .with_hint(format!("write `a {one} b AND b {two} c`")),
        )
    }

    fn infix_ahead(&self) -> Option<Infix> {
        use BinaryOperator as Op;
        let binary = |operator| Some(Infix::Binary(operator));
        match self.kind() {
            TokenKind::Symbol(symbol) => match symbol {
                Symbol::Equal => binary(Op::Equal),
                Symbol::NotEqual | Symbol::BangEqual => binary(Op::NotEqual),
                Symbol::Less => binary(Op::Less),
                Symbol::LessOrEqual => binary(Op::LessOrEqual),
                Symbol::Greater => binary(Op::Greater),
                Symbol::GreaterOrEqual => binary(Op::GreaterOrEqual),
                Symbol::Concat => binary(Op::Concat),
                Symbol::Plus => binary(Op::Add),
                Symbol::Minus => binary(Op::Subtract),
                Symbol::Star => binary(Op::Multiply),
                Symbol::Slash => binary(Op::Divide),
                Symbol::DoubleSlash => binary(Op::IntegerDivide),
                Symbol::Percent => binary(Op::Modulo),
                Symbol::DoubleColon => Some(Infix::Cast),
                Symbol::LeftBracket => Some(Infix::Index),
                Symbol::Point => Some(Infix::Field),
                _ => None,
            },
            TokenKind::Word => {
                let negated = self.is_word("NOT");
                let ahead = usize::from(negated);
                let like = |case_insensitive| {
                    Some(Infix::Like {
                        negated,
                        case_insensitive,
                    })
                };
                match self
                    .token_at(ahead)
                    .span
                    .text(self.source)
                    .to_ascii_uppercase()
                    .as_str()
                {
                    "IN" => Some(Infix::In { negated }),
                    "BETWEEN" => Some(Infix::Between { negated }),
                    "LIKE" => like(false),
                    "ILIKE" => like(true),
                    _ if negated => None,
                    "AND" => binary(Op::And),
                    "OR" => binary(Op::Or),
                    "IS" => Some(Infix::Is),
                    "ISNULL" => Some(Infix::NullTest { negated: false }),
                    "NOTNULL" => Some(Infix::NullTest { negated: true }),
                    "AT" if self.is_words(&["AT", "TIME", "ZONE"]) => Some(Infix::AtTimeZone),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn infix(&mut self, left: Expr, infix: Infix, tallest: &mut usize) -> Parsed<Expr> {
        let start = left.span;
        let operator_span = self.span();
        if let Infix::In { negated: true }
        | Infix::Between { negated: true }
        | Infix::Like { negated: true, .. } = infix
        {
            self.bump();
        }
        match infix {
            // Taken as the first token of what stands inside or behind.
            Infix::Index | Infix::Field => {}
            _ => {
                self.bump();
            }
        }
        let operand = Box::new(left);
        let tight = infix.power() + 1;
        let kind = match infix {
            Infix::Binary(operator) => ExprKind::Binary {
                operator,
                operator_span,
                left: operand,
                right: Box::new(self.child(tight, tallest)?),
            },
            Infix::Is => self.is_test(operand, tallest)?,
            Infix::NullTest { negated } => ExprKind::Is {
                operand,
                test: IsTest::Null,
                negated,
            },
            Infix::In { negated } => {
                if self.is_symbol(Symbol::LeftParen) && self.is_word_at(1, "SELECT") {
                    return Err(self.subquery_in_expression());
                }
                let (list, _) =
                    self.parenthesised("a value", |parser| parser.child(power::LOWEST, tallest))?;
                ExprKind::InList {
                    operand,
                    list,
                    negated,
                }
            }
            Infix::Between { negated } => {
                let low = Box::new(self.child(tight, tallest)?);
                self.expect_word("AND", " and the upper end of `BETWEEN`")?;
                ExprKind::Between {
                    operand,
                    low,
                    high: Box::new(self.child(tight, tallest)?),
                    negated,
                }
            }
            Infix::Like {
                negated,
                case_insensitive,
            } => {
                let pattern = Box::new(self.child(tight, tallest)?);
                let escape = match self.eat_word("ESCAPE") {
                    Some(_) => Some(Box::new(self.child(tight, tallest)?)),
                    None => None,
                };
                ExprKind::Like {
                    operand,
                    pattern,
                    escape,
                    negated,
                    case_insensitive,
                }
            }
            Infix::AtTimeZone => {
                self.bump();
                self.bump();
                ExprKind::AtTimeZone {
                    operand,
                    zone: Box::new(self.child(tight, tallest)?),
                }
            }
            Infix::Cast => ExprKind::Cast {
                operand,
                target: self.type_name("the value")?,
                is_try: false,
            },
            Infix::Index => {
                let open = self.expect_symbol(Symbol::LeftBracket, "")?;
                let index = Box::new(self.child(power::LOWEST, tallest)?);
                self.close(open, Symbol::RightBracket, false)?;
                ExprKind::Index { operand, index }
            }
            Infix::Field => {
                self.bump();
                ExprKind::Field {
                    operand,
                    field: self.ident("the name of a field")?,
                }
            }
        };
        Ok(Expr {
            kind,
            span: self.since(start),
        })
    }

    fn is_test(&mut self, operand: Box<Expr>, tallest: &mut usize) -> Parsed<ExprKind> {
        let negated = self.eat_word("NOT").is_some();
        if self.eat_words(&["DISTINCT", "FROM"]).is_some() {
            return Ok(ExprKind::IsDistinctFrom {
                left: operand,
                right: Box::new(self.child(power::IS + 1, tallest)?),
                negated,
            });
        }
        let tests = [
            ("NULL", IsTest::Null),
            ("TRUE", IsTest::True),
            ("FALSE", IsTest::False),
            ("UNKNOWN", IsTest::Unknown),
        ];
        for (word, test) in tests {
            if self.eat_word(word).is_some() {
                return Ok(ExprKind::Is {
                    operand,
                    test,
                    negated,
                });
            }
        }
        let mut diagnostic = self.unexpected_word(
            "`NULL`, `TRUE`, `FALSE` or `DISTINCT FROM`",
            &["NULL", "TRUE", "FALSE", "DISTINCT"],
        );
        if diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_)) {
            diagnostic.hint = Some("values are compared with `=` and `<>`".to_owned());
        }
        Err(diagnostic)
    }

    /// What an expression starts with: a sign, `NOT`, or something that stands alone.
    fn prefix(&mut self, tallest: &mut usize) -> Parsed<Expr> {
        let start = self.span();
        let (operator, operand_power) = if self.is_symbol(Symbol::Minus) {
            (UnaryOperator::Minus, power::SIGN)
        } else if self.is_symbol(Symbol::Plus) {
            (UnaryOperator::Plus, power::SIGN)
        } else if self.is_word("NOT") {
            (UnaryOperator::Not, power::NOT)
        } else {
            return self.primary(tallest);
        };
        self.bump();
        let operand = Box::new(self.child(operand_power, tallest)?);
        Ok(Expr {
            kind: ExprKind::Unary { operator, operand },
            span: self.since(start),
        })
    }
}
