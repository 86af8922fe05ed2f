//! From text to an expression.

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Number(f64),
    Flag(bool),
    Text(String),
    Nil,
    /// What was measured, or a field of it; the path is of fields and of places in lists.
    Result(Vec<String>),
    /// An element, within `all` and its like.
    Element,
    Call(String, Vec<Expr>),
    Not(Box<Expr>),
    Binary(String, Box<Expr>, Box<Expr>),
    Choice(Box<Expr>, Box<Expr>, Box<Expr>),
}

/// Reads an expression; what cannot be read of it otherwise.
pub(crate) fn read(text: &str) -> Result<Expr, String> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, depth: 0 };
    let expr = reader.choice()?;
    match reader.peek() {
        None => Ok(expr),
        Some(rest) => Err(format!("{rest:?} is not understood in it")),
    }
}

/// Parentheses within one another; nobody writes more.
const DEEPEST: usize = 64;

const SIGNS: [&str; 22] = [
    "<=", ">=", "==", "!=", "&&", "||", "??", "?.", "<", ">", "!", "(", ")", "[", "]", "{", "}", ",", "?",
    ":", "#", "-",
];
const ARITHMETIC: [&str; 5] = ["+", "*", "/", "%", "."];

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_digit()
            || first == '.'
                && rest.get(1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            number_length(rest)
        } else if first.is_alphabetic() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if first == '"' || first == '\'' || first == '`' {
            let end = rest.char_indices().skip(1).find(|&(_, c)| c == first);
            end.map(|(at, _)| at + 1).ok_or_else(|| "a text in it does not end".to_owned())?
        } else {
            let sign = SIGNS.iter().chain(&ARITHMETIC).find(|sign| rest.starts_with(**sign));
            sign.map(|sign| sign.len()).ok_or_else(|| format!("{first:?} is not understood in it"))?
        };
        let (token, after) = rest.split_at(length);
        found.push(token.to_owned());
        rest = after.trim_start();
    }
    Ok(found)
}

fn number_length(text: &str) -> usize {
    let mut before = ' ';
    let end = text.char_indices().find(|&(_, c)| {
        let goes_on =
            c.is_ascii_alphanumeric() || c == '.' || c == '_' || "+-".contains(c) && "eE".contains(before);
        before = c;
        !goes_on
    });
    end.map_or(text.len(), |(at, _)| at)
}

struct Reader {
    tokens: Vec<String>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take(&mut self, token: &str) -> bool {
        let fits = self.peek() == Some(token);
        self.at += usize::from(fits);
        fits
    }

    fn want(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("{token:?} is missing in it")) }
    }

    fn choice(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deep".to_owned());
        }
        let condition = self.or()?;
        let expr = if self.take("?") {
            let yes = self.choice()?;
            self.want(":")?;
            Expr::Choice(Box::new(condition), Box::new(yes), Box::new(self.choice()?))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn or(&mut self) -> Result<Expr, String> {
        let mut left = self.and()?;
        while self.take("||") || self.take("or") {
            left = Expr::Binary("||".to_owned(), Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut left = self.comparison()?;
        while self.take("&&") || self.take("and") {
            left = Expr::Binary("&&".to_owned(), Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expr, String> {
        let left = self.sum()?;
        let Some(sign) = self.peek().filter(|sign| ["<", "<=", ">", ">=", "==", "!="].contains(sign)) else {
            return Ok(left);
        };
        let sign = sign.to_owned();
        self.at += 1;
        Ok(Expr::Binary(sign, Box::new(left), Box::new(self.sum()?)))
    }

    /// Sums and products; those of numbers are reckoned.
    fn sum(&mut self) -> Result<Expr, String> {
        let mut left = self.product()?;
        while let Some(sign) = self.peek().filter(|sign| ["+", "-"].contains(sign)).map(str::to_owned) {
            self.at += 1;
            left = reckon(&sign, left, self.product()?)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expr, String> {
        let mut left = self.unary()?;
        while let Some(sign) = self.peek().filter(|sign| ["*", "/", "%"].contains(sign)).map(str::to_owned) {
            self.at += 1;
            left = reckon(&sign, left, self.unary()?)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        let mut negated = false;
        while self.take("!") || self.take("not") {
            negated = !negated;
        }
        let expr = if self.take("-") {
            match self.simple()? {
                Expr::Number(number) => Expr::Number(-number),
                _ => return Err("a '-' before what is measured is not understood".to_owned()),
            }
        } else {
            self.simple()?
        };
        Ok(if negated { Expr::Not(Box::new(expr)) } else { expr })
    }

    fn simple(&mut self) -> Result<Expr, String> {
        let token = self.next().ok_or_else(|| "it ends too soon".to_owned())?;
        let expr = match token.as_str() {
            "(" => {
                let expr = self.choice()?;
                self.want(")")?;
                expr
            }
            "{" => {
                let expr = self.choice()?;
                self.want("}")?;
                expr
            }
            "true" => Expr::Flag(true),
            "false" => Expr::Flag(false),
            "nil" => Expr::Nil,
            "#" => Expr::Element,
            "result" => Expr::Result(Vec::new()),
            text if text.starts_with(['"', '\'', '`']) => {
                Expr::Text(text.trim_matches(['"', '\'', '`']).to_owned())
            }
            number if number.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
                let number = number.replace('_', "");
                Expr::Number(number.parse().map_err(|_| format!("{number:?} is no number"))?)
            }
            name if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                self.want("(")?;
                Expr::Call(name.to_owned(), self.arguments()?)
            }
            other => return Err(format!("{other:?} is not understood in it")),
        };
        self.path(expr)
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, String> {
        let mut arguments = Vec::new();
        while !self.take(")") {
            arguments.push(self.choice()?);
            if self.peek() != Some(")") {
                self.want(",")?;
            }
        }
        Ok(arguments)
    }

    /// Fields and places behind an expression.
    fn path(&mut self, mut expr: Expr) -> Result<Expr, String> {
        loop {
            let step = if self.take(".") || self.take("?.") {
                self.next().filter(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'))
            } else if self.take("[") {
                let step = self.next().map(|step| step.trim_matches(['"', '\'']).to_owned());
                self.want("]")?;
                step
            } else {
                return Ok(expr);
            };
            match (&mut expr, step) {
                (Expr::Result(path), Some(step)) => path.push(step),
                _ => return Err("a field of something other than the result is not understood".to_owned()),
            }
        }
    }
}

fn reckon(sign: &str, left: Expr, right: Expr) -> Result<Expr, String> {
    let (Expr::Number(left), Expr::Number(right)) = (left, right) else {
        return Err("it reckons with what is measured: reckon in the query".to_owned());
    };
    let number = match sign {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "%" => left % right,
        _ => left / right,
    };
    if number.is_finite() { Ok(Expr::Number(number)) } else { Err("it divides by zero".to_owned()) }
}
