//! Names and calls: functions, aggregates, and the functions with a syntax of their own.

use super::expr::power;
use super::{Parsed, Parser};
use crate::ast::{
    Expr, ExprKind, FunctionArgs, FunctionCall, Ident, Literal, NullTreatment, NullTreatmentKind,
    OrderItem, Span,
};
use crate::error::Diagnostic;
use crate::keyword::{is_not_a_column, reads_like_a_keyword};
use crate::lexer::{Symbol, TokenKind};

impl Parser<'_> {
    /// `a`, `a.b`, `f(x)`
    pub(super) fn name_or_call(&mut self, tallest: &mut usize) -> Parsed<Expr> {
        let start = self.span();
        if self.is_symbol_at(1, Symbol::LeftParen) {
            let kind = self.call(tallest)?;
            return Ok(Expr {
                kind,
                span: self.since(start),
            });
        }
        let mut parts = vec![self.first_ident("a column")?];
        while self.is_symbol(Symbol::Point) {
            self.bump();
            if self.is_symbol(Symbol::Star) {
                return Err(Box::new(
                    Diagnostic::error("`*` is not a value", self.since(start).to(self.span()))
                        .with_hint("all columns of a relation are an item of `SELECT` alone"),
                ));
            }
            parts.push(self.ident("the name of a column")?);
            if parts.len() > super::DEPTH_MAX {
                return Err(super::complaint::too_deep(self.since(start)));
            }
        }
        if self.is_symbol(Symbol::LeftParen) {
            return Err(Box::new(
                Diagnostic::error("functions have one name, without points", self.since(start))
                    .with_hint("only the functions of the documented list exist"),
            ));
        }
        Ok(Expr {
            kind: ExprKind::Name(parts),
            span: self.since(start),
        })
    }

    /// A name that starts a value.
    fn first_ident(&mut self, what: &str) -> Parsed<Ident> {
        let mut name = self.ident(what)?;
        name.quoted |= reads_like_a_keyword(&name.value);
        Ok(name)
    }

    fn call(&mut self, tallest: &mut usize) -> Parsed<ExprKind> {
        let name = self.first_ident("a function")?;
        if !name.quoted {
            match name.value.as_str() {
                "cast" => return self.cast(false, tallest),
                "try_cast" => return self.cast(true, tallest),
                "extract" => return self.extract(tallest),
                _ => {}
            }
        }
        let open = self.expect_symbol(Symbol::LeftParen, "")?;
        if self.is_word("SELECT") {
            return Err(self.subquery_in_expression());
        }
        let mut call = FunctionCall {
            name,
            distinct: None,
            args: FunctionArgs::List(Vec::new()),
            order_by: Vec::new(),
            within_group: Vec::new(),
            filter: None,
            null_treatment: None,
            over: None,
        };
        let is_special = !call.name.quoted
            && match call.name.value.as_str() {
                "position" => self.position_args(&mut call, tallest)?,
                "substring" => self.substring_args(&mut call, tallest)?,
                "trim" => self.trim_args(&mut call, tallest)?,
                _ => false,
            };
        if !is_special {
            self.args(&mut call, tallest)?;
        }
        self.close(open, Symbol::RightParen, true)?;
        self.behind_call(&mut call, tallest)?;
        Ok(ExprKind::Call(Box::new(call)))
    }

    /// What stands between the parentheses of an ordinary call. Arguments that were read
    /// already are in `call`.
    fn args(&mut self, call: &mut FunctionCall, tallest: &mut usize) -> Parsed<()> {
        let mut args = match &mut call.args {
            FunctionArgs::List(args) => std::mem::take(args),
            FunctionArgs::Star(_) => Vec::new(),
        };
        if args.is_empty() {
            if self.is_symbol(Symbol::Star) && self.is_symbol_at(1, Symbol::RightParen) {
                call.args = FunctionArgs::Star(self.bump().span);
                return Ok(());
            }
            if self.is_symbol(Symbol::RightParen) {
                return Ok(());
            }
            if self.is_word("DISTINCT") && self.starts_operand(1) {
                call.distinct = Some(self.bump().span);
            }
            args.push(self.child(power::LOWEST, tallest)?);
        }
        while self.eat_symbol(Symbol::Comma).is_some() {
            args.push(self.child(power::LOWEST, tallest)?);
        }
        call.args = FunctionArgs::List(args);
        if self.is_words(&["ORDER", "BY"]) {
            call.order_by = self.order_by(tallest)?;
        }
        self.null_treatment(call);
        Ok(())
    }

    /// Whether the token there can be the first of an expression, so that the word before it
    /// is a keyword and not a column.
    pub(super) fn starts_operand(&self, ahead: usize) -> bool {
        match self.token_at(ahead).kind {
            TokenKind::Symbol(symbol) => matches!(
                symbol,
                Symbol::LeftParen | Symbol::LeftBracket | Symbol::Minus | Symbol::Plus
            ),
            TokenKind::End => false,
            TokenKind::Word => self.word_starts_operand(ahead),
            _ => true,
        }
    }

    fn word_starts_operand(&self, ahead: usize) -> bool {
        let pair =
            |first, second| self.is_word_at(ahead, first) && self.is_word_at(ahead + 1, second);
        if pair("IGNORE", "NULLS") || pair("RESPECT", "NULLS") || pair("ORDER", "BY") {
            return false;
        }
        if self.is_word_at(ahead, "NOT") {
            return !["IN", "LIKE", "ILIKE", "BETWEEN"]
                .iter()
                .any(|word| self.is_word_at(ahead + 1, word));
        }
        let word = self.token_at(ahead).span.text(self.source);
        self.is_word_at(ahead, "CASE") || !is_not_a_column(&word.to_ascii_lowercase())
    }

    fn behind_call(&mut self, call: &mut FunctionCall, tallest: &mut usize) -> Parsed<()> {
        loop {
            if self.is_words(&["WITHIN", "GROUP"]) && self.is_symbol_at(2, Symbol::LeftParen) {
                let words = self.span().to(self.token_at(1).span);
                self.bump();
                self.bump();
                self.once(call.within_group.is_empty(), words, "WITHIN GROUP")?;
                let open = self.expect_symbol(Symbol::LeftParen, "")?;
                call.within_group = self.nested_query(|parser| parser.order_by(tallest))?;
                self.close(open, Symbol::RightParen, true)?;
            } else if self.is_word("FILTER") && self.is_symbol_at(1, Symbol::LeftParen) {
                let word = self.bump().span;
                self.once(call.filter.is_none(), word, "FILTER")?;
                let open = self.expect_symbol(Symbol::LeftParen, "")?;
                self.expect_word("WHERE", " and a condition")?;
                let filter = self.nested_query(|parser| parser.child(power::LOWEST, tallest))?;
                call.filter = Some(filter);
                self.close(open, Symbol::RightParen, false)?;
            } else if self.is_word_at(1, "NULLS")
                && (self.is_word("IGNORE") || self.is_word("RESPECT"))
            {
                let words = self.span().to(self.token_at(1).span);
                self.once(call.null_treatment.is_none(), words, "IGNORE NULLS")?;
                self.null_treatment(call);
            } else if self.is_word("OVER")
                && (self.is_name_at(1) || self.is_symbol_at(1, Symbol::LeftParen))
            {
                let word = self.bump().span;
                self.once(call.over.is_none(), word, "OVER")?;
                let over = self.nested_query(|parser| parser.window_ref(tallest))?;
                call.over = Some(over);
            } else if self.is_word("OVER") {
                self.bump();
                return Err(self.unexpected("the name of a window, or `(`"));
            } else {
                return Ok(());
            }
        }
    }

    fn once(&self, is_first: bool, span: Span, clause: &str) -> Parsed<()> {
        if is_first {
            return Ok(());
        }
        Err(Box::new(
            Diagnostic::error(format!("`{clause}` is given twice"), span)
                .with_hint("remove one of them"),
        ))
    }

    fn null_treatment(&mut self, call: &mut FunctionCall) {
        for (word, kind) in [
            ("IGNORE", NullTreatmentKind::Ignore),
            ("RESPECT", NullTreatmentKind::Respect),
        ] {
            if let Some(span) = self.eat_words(&[word, "NULLS"]) {
                call.null_treatment = Some(NullTreatment { kind, span });
                return;
            }
        }
    }

    /// `ORDER BY expr [ASC | DESC] [NULLS FIRST | LAST], ...`
    pub(super) fn order_by(&mut self, tallest: &mut usize) -> Parsed<Vec<OrderItem>> {
        self.expect_word("ORDER", " BY")?;
        self.expect_word("BY", " after `ORDER`")?;
        let mut items = Vec::new();
        loop {
            let start = self.span();
            let expr = self.child(power::LOWEST, tallest)?;
            let descending = self.eat_word("DESC").is_some();
            if !descending {
                self.eat_word("ASC");
            }
            let nulls_first = if self.eat_words(&["NULLS", "FIRST"]).is_some() {
                Some(true)
            } else {
                self.eat_words(&["NULLS", "LAST"]).map(|_| false)
            };
            items.push(OrderItem {
                expr,
                descending,
                nulls_first,
                span: self.since(start),
            });
            if self.eat_symbol(Symbol::Comma).is_none() {
                return Ok(items);
            }
        }
    }

    /// `CAST(x AS T)`
    fn cast(&mut self, is_try: bool, tallest: &mut usize) -> Parsed<ExprKind> {
        let open = self.expect_symbol(Symbol::LeftParen, "")?;
        let operand = Box::new(self.child(power::LOWEST, tallest)?);
        self.expect_word("AS", " and a type")?;
        let target = self.type_name("the value")?;
        self.close(open, Symbol::RightParen, false)?;
        Ok(ExprKind::Cast {
            operand,
            target,
            is_try,
        })
    }

    /// `EXTRACT(part FROM x)`
    fn extract(&mut self, tallest: &mut usize) -> Parsed<ExprKind> {
        let open = self.expect_symbol(Symbol::LeftParen, "")?;
        let part = self.ident("a part of a time, such as `HOUR`")?;
        self.expect_word("FROM", " and a time")?;
        let operand = Box::new(self.child(power::LOWEST, tallest)?);
        self.close(open, Symbol::RightParen, false)?;
        Ok(ExprKind::Extract { part, operand })
    }

    /// `POSITION(a IN b)`. False: the first argument was read, an ordinary list goes on.
    fn position_args(&mut self, call: &mut FunctionCall, tallest: &mut usize) -> Parsed<bool> {
        if self.is_symbol(Symbol::RightParen) {
            return Ok(false);
        }
        let mut height = 0;
        // `IN` binds looser than this, so it is left for us.
        let first = self.child(power::RANGE + 1, &mut height)?;
        if self.eat_word("IN").is_some() {
            *tallest = height.max(*tallest);
            let text = self.child(power::LOWEST, tallest)?;
            call.args = FunctionArgs::List(vec![first, text]);
            return Ok(true);
        }
        // The level of `first` is counted already, and will be again.
        height -= 1;
        let first = self.climb(first, power::LOWEST, &mut height)?;
        *tallest = height.max(*tallest);
        call.args = FunctionArgs::List(vec![first]);
        Ok(false)
    }

    /// `SUBSTRING(x FROM a [FOR b])`, `SUBSTRING(x FOR b)`
    fn substring_args(&mut self, call: &mut FunctionCall, tallest: &mut usize) -> Parsed<bool> {
        if self.is_symbol(Symbol::RightParen) {
            return Ok(false);
        }
        let mut args = vec![self.child(power::LOWEST, tallest)?];
        let special = self.is_word("FROM") || self.is_word("FOR");
        if self.eat_word("FROM").is_some() {
            args.push(self.child(power::LOWEST, tallest)?);
        }
        if let Some(word) = self.eat_word("FOR") {
            if args.len() == 1 {
                args.push(Expr {
                    kind: ExprKind::Literal(Literal::Integer(1)),
                    span: word,
                });
            }
            args.push(self.child(power::LOWEST, tallest)?);
        }
        call.args = FunctionArgs::List(args);
        Ok(special)
    }

    /// `TRIM([BOTH | LEADING | TRAILING] [characters] FROM x)`
    fn trim_args(&mut self, call: &mut FunctionCall, tallest: &mut usize) -> Parsed<bool> {
        let sides = [
            ("BOTH", "trim"),
            ("LEADING", "ltrim"),
            ("TRAILING", "rtrim"),
        ];
        let side = sides.into_iter().find(|(word, _)| {
            self.is_word(word) && (self.starts_operand(1) || self.is_word_at(1, "FROM"))
        });
        if let Some((_, function)) = side {
            self.bump();
            call.name = Ident {
                value: function.to_owned(),
                ..call.name.clone()
            };
        }
        if self.eat_word("FROM").is_some() {
            let text = self.child(power::LOWEST, tallest)?;
            call.args = FunctionArgs::List(vec![text]);
            return Ok(true);
        }
        if self.is_symbol(Symbol::RightParen) {
            return Ok(false);
        }
        let first = self.child(power::LOWEST, tallest)?;
        if self.eat_word("FROM").is_some() {
            let text = self.child(power::LOWEST, tallest)?;
            call.args = FunctionArgs::List(vec![text, first]);
            return Ok(true);
        }
        call.args = FunctionArgs::List(vec![first]);
        Ok(side.is_some())
    }
}
