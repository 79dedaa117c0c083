//! Reading EDN from a text that lies in memory.

use crate::edn::{Edn, MOST_DEPTH, NotEdn};

/// The text not read yet.
pub(crate) struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    pub(crate) fn new(text: &'a str) -> Rest<'a> {
        Rest { text, at: 0 }
    }

    /// How many bytes were read; after an error, how many stand before it.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next datum, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Edn>, NotEdn> {
        self.skip_blanks(0)?;
        if self.at == self.text.len() { Ok(None) } else { self.datum(0).map(Some) }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over blanks, comments, and data that are left out by `#_`.
    fn skip_blanks(&mut self, depth: usize) -> Result<(), NotEdn> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | 0x0b | 0x0c) => self.at += 1,
                Some(b';') => {
                    let rest = &self.text.as_bytes()[self.at..];
                    self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                }
                Some(b'#') if self.text.as_bytes().get(self.at + 1) == Some(&b'_') => {
                    self.at += 2;
                    self.datum(depth + 1)?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn datum(&mut self, depth: usize) -> Result<Edn, NotEdn> {
        if depth > MOST_DEPTH {
            return Err(NotEdn::TooDeep);
        }
        self.skip_blanks(depth)?;
        let start = self.at;
        match self.byte().ok_or(NotEdn::Ends)? {
            b'"' => {
                self.at += 1;
                self.string().map(Edn::Text)
            }
            b'[' => self.many(b']', depth).map(Edn::Vector),
            b'(' => self.many(b')', depth).map(Edn::List),
            b'{' => {
                let mut pairs = Vec::new();
                self.at += 1;
                while !self.closes(b'}', depth)? {
                    pairs.push((self.datum(depth + 1)?, self.datum(depth + 1)?));
                }
                Ok(Edn::Map(pairs))
            }
            b'#' => self.dispatch(depth),
            b'\\' => self.char(),
            b'^' | b'`' | b'\'' | b'@' | b'~' => self.unexpected(start, start + 1),
            _ => self.word(),
        }
    }

    /// Up to the bracket that closes what the next one opens.
    fn many(&mut self, close: u8, depth: usize) -> Result<Vec<Edn>, NotEdn> {
        let mut all = Vec::new();
        self.at += 1;
        while !self.closes(close, depth)? {
            all.push(self.datum(depth + 1)?);
        }
        Ok(all)
    }

    /// Steps over the bracket `close`, if it is next.
    fn closes(&mut self, close: u8, depth: usize) -> Result<bool, NotEdn> {
        self.skip_blanks(depth)?;
        let closes = self.byte() == Some(close);
        self.at += usize::from(closes);
        Ok(closes)
    }

    /// A set, or a tag and what it is on.
    fn dispatch(&mut self, depth: usize) -> Result<Edn, NotEdn> {
        let start = self.at;
        self.at += 1;
        match self.byte().ok_or(NotEdn::Ends)? {
            b'{' => self.many(b'}', depth).map(Edn::Set),
            first if first.is_ascii_alphabetic() => {
                let tag = self.name();
                let inner = self.datum(depth + 1)?;
                Ok(Edn::Tagged(tag.to_owned(), Box::new(inner)))
            }
            _ => {
                self.name();
                self.unexpected(start, self.at)
            }
        }
    }

    /// Up to the next blank or bracket.
    fn name(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let ends = |c: char| c.is_whitespace() || ",;[]{}()\"".contains(c);
        let name = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += name.len();
        name
    }

    fn word(&mut self) -> Result<Edn, NotEdn> {
        let start = self.at;
        let word = self.name();
        if word.is_empty() {
            let first = self.text[start..].chars().next().map_or(0, char::len_utf8);
            return self.unexpected(start, start + first);
        }
        let numeric = word.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit());
        match word {
            "nil" => Ok(Edn::Nil),
            "true" => Ok(Edn::Bool(true)),
            "false" => Ok(Edn::Bool(false)),
            _ if numeric => number(word).map_or_else(|| self.unexpected(start, self.at), Ok),
            _ => match word.strip_prefix(':') {
                Some("") => self.unexpected(start, self.at),
                Some(name) => Ok(Edn::Keyword(name.to_owned())),
                None => Ok(Edn::Symbol(word.to_owned())),
            },
        }
    }

    fn char(&mut self) -> Result<Edn, NotEdn> {
        let start = self.at;
        self.at += 1;
        let first = self.text[self.at..].chars().next().ok_or(NotEdn::Ends)?;
        self.at += first.len_utf8();
        self.name();
        let char = match &self.text[start + 1..self.at] {
            "newline" => '\n',
            "space" => ' ',
            "tab" => '\t',
            "return" => '\r',
            name if name.len() == first.len_utf8() => first,
            _ => return self.unexpected(start, self.at),
        };
        Ok(Edn::Char(char))
    }

    /// What follows an opening quote.
    fn string(&mut self) -> Result<String, NotEdn> {
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(['"', '\\']).ok_or(NotEdn::Ends)?;
            text.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Ok(text);
            }
            let escape = rest[plain + 1..].chars().next().ok_or(NotEdn::Ends)?;
            self.at += escape.len_utf8();
            text.push(match escape {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'u' => self.code()?,
                plain @ ('"' | '\\') => plain,
                _ => return self.unexpected(self.at - 1 - escape.len_utf8(), self.at),
            });
        }
    }

    /// The four digits behind `\u`.
    fn code(&mut self) -> Result<char, NotEdn> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(NotEdn::Ends)?;
        let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
        match code {
            Some(char) => {
                self.at += 4;
                Ok(char)
            }
            None => self.unexpected(self.at - 2, self.at + 4),
        }
    }

    /// What stands between these places should not. The place of the error is where it begins.
    fn unexpected<T>(&mut self, from: usize, to: usize) -> Result<T, NotEdn> {
        self.at = from;
        Err(NotEdn::Unexpected(self.text[from..to].chars().take(SHOWN).collect()))
    }
}

/// How much of a word tells what it is.
const SHOWN: usize = 64;

fn number(word: &str) -> Option<Edn> {
    let whole = word.strip_suffix('N').unwrap_or(word);
    if let Ok(number) = whole.parse() {
        return Some(Edn::Integer(number));
    }
    let float = word.contains(['.', 'e', 'E']) && word.bytes().all(|byte| b"+-.eE0123456789".contains(&byte));
    word.parse().ok().filter(|number: &f64| float && number.is_finite()).map(Edn::Float)
}
