//! EDN, datum by datum, from a source that need not fit into memory.
//!
//! A history in EDN is a map for each line of the history, but not always a line of the file for each map: it may
//! be one vector of maps, on one line or on many, with comments between them. So the source is cut where
//! brackets say that a datum ends, and only that much of it is held at a time.
//!
//! A source that ends within its last datum is torn. A bracket that is missing further up looks the same,
//! and would silently swallow all that follows; so what looks torn and goes on for many maps is an error
//! at the place where it begins.

use std::io::{self, BufRead};

use crate::attempt::Torn;
use crate::edn::{Edn, NotEdn};
use crate::edn_reader::Rest;
use crate::foreign::NotALine;
use crate::lines::MOST_BYTES;

/// Yields the data of a source; those of its outermost vector, if it is one.
#[derive(Debug)]
pub(crate) struct Data<R> {
    from: R,
    /// What was taken from the source and not given out.
    buffer: Vec<u8>,
    /// How much of the buffer was given out.
    start: usize,
    place: Place,
    outer: Outer,
    torn: Option<Torn>,
}

/// Where something stands in a file: line and column, both counted from 1, columns in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Place {
    pub(crate) const START: Place = Place { line: 1, column: 1 };

    fn past(self, bytes: &[u8]) -> Place {
        let lines = bytes.split(|&byte| byte == b'\n').count() as u64 - 1;
        let tail = bytes.iter().rposition(|&byte| byte == b'\n').map(|newline| bytes.len() - newline);
        let column = tail.map_or(self.column + bytes.len() as u64, |tail| tail as u64);
        Place { line: self.line + lines, column }
    }
}

/// The vector or list around all data, if there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outer {
    /// Nothing was seen yet that could tell.
    Unknown,
    None,
    /// It ends with this.
    Until(u8),
    Ended,
}

/// Why there is no further datum.
#[derive(Debug)]
pub(crate) enum Stopped {
    Io(io::Error),
    Wrong(NotALine),
}

impl<R: BufRead> Data<R> {
    pub(crate) fn new(from: R) -> Data<R> {
        let (buffer, outer) = (Vec::new(), Outer::Unknown);
        Data { from, buffer, start: 0, place: Place::START, outer, torn: None }
    }

    /// The end that is missing, once the end was reached.
    pub(crate) fn torn(&self) -> Option<Torn> {
        self.torn
    }

    /// The next datum and where it begins, or what is wrong and where.
    pub(crate) fn next(&mut self) -> Result<Option<(Place, Edn)>, (Place, Stopped)> {
        loop {
            let at = |place: Place| move |stopped| (place, stopped);
            self.skip_blanks().map_err(at(self.place))?;
            let Some(&first) = self.buffer.get(self.start) else {
                if matches!(self.outer, Outer::Until(_)) {
                    self.torn = Some(Torn { line: self.place.line, bytes: 0 });
                }
                return Ok(None);
            };
            match (self.outer, first) {
                (Outer::Unknown, b'[') => self.enter(b']'),
                (Outer::Unknown, b'(') => self.enter(b')'),
                (Outer::Until(close), first) if first == close => {
                    self.advance(1);
                    self.outer = Outer::Ended;
                }
                (Outer::Ended, first) => {
                    let why = NotEdn::Unexpected(char::from(first).to_string());
                    return Err((self.place, Stopped::Wrong(why.into())));
                }
                _ => {
                    if self.outer == Outer::Unknown {
                        self.outer = Outer::None;
                    }
                    let place = self.place;
                    if let Some(datum) = self.datum()? {
                        return Ok(Some((place, datum)));
                    }
                    if self.torn.is_some() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn enter(&mut self, close: u8) {
        self.advance(1);
        self.outer = Outer::Until(close);
    }

    fn advance(&mut self, bytes: usize) {
        self.place = self.place.past(&self.buffer[self.start..self.start + bytes]);
        self.start += bytes;
    }

    /// Takes more from the source; false at its end.
    fn fill(&mut self) -> Result<bool, Stopped> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.len() > MOST_BYTES {
            return Err(Stopped::Wrong(NotALine::TooLong));
        }
        loop {
            match self.from.fill_buf() {
                Ok(more) => {
                    let taken = more.len();
                    self.buffer.extend_from_slice(more);
                    self.from.consume(taken);
                    return Ok(taken > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stopped::Io(error)),
            }
        }
    }

    fn skip_blanks(&mut self) -> Result<(), Stopped> {
        let mut comment = false;
        loop {
            let rest = &self.buffer[self.start..];
            let left = rest.len();
            let blanks = rest.iter().position(|&byte| {
                comment = if comment { byte != b'\n' } else { byte == b';' };
                !(comment || byte.is_ascii_whitespace() || byte == b',' || byte == 0x0b)
            });
            self.advance(blanks.unwrap_or(left));
            if blanks.is_some() || !self.fill()? {
                return Ok(());
            }
        }
    }

    /// The datum that begins where we stand. None if it was one that is left out, or if it is torn.
    fn datum(&mut self) -> Result<Option<Edn>, (Place, Stopped)> {
        let place = self.place;
        let mut extent = Extent::default();
        let mut seen = 0;
        let whole = loop {
            let fresh = &self.buffer[self.start + seen..];
            if let Some(end) = extent.find_end(fresh) {
                seen += end;
                break true;
            }
            seen += fresh.len();
            if !self.fill().map_err(|stopped| (place, stopped))? {
                break extent.is_word();
            }
        };
        let bytes = &self.buffer[self.start..self.start + seen];
        if !whole && !swallows_maps(bytes) {
            self.torn = Some(Torn { line: place.line, bytes: seen });
            self.advance(seen);
            return Ok(None);
        }
        let wrong = |at: usize, why| (place.past(&bytes[..at]), Stopped::Wrong(why));
        let text = str::from_utf8(bytes).map_err(|error| wrong(error.valid_up_to(), NotALine::NotText))?;
        let mut rest = Rest::new(text);
        let datum = rest.next().and_then(|datum| if whole { Ok(datum) } else { Err(NotEdn::Ends) });
        match datum {
            Ok(datum) => {
                self.advance(seen);
                Ok(datum)
            }
            // What is missing at its end is missing where it begins: nobody knows where it should have ended.
            Err(NotEdn::Ends) => Err(wrong(0, NotEdn::Ends.into())),
            Err(why) => Err(wrong(rest.at(), why.into())),
        }
    }
}

/// Whether what looks like one datum without an end goes on over lines that begin like a map each.
fn swallows_maps(bytes: &[u8]) -> bool {
    let mut later = bytes.split(|&byte| byte == b'\n').skip(1).map(<[u8]>::trim_ascii_start);
    later.any(|line| line.starts_with(b"{") || line.starts_with(b"#"))
}

/// How far a datum goes, found out byte by byte.
#[derive(Default)]
struct Extent {
    depth: usize,
    inside: Inside,
    /// In a word that begins with `#`: what it is on is still to come.
    tag: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Inside {
    /// Between words.
    #[default]
    Nothing,
    Word,
    /// Behind the backslash of a character.
    Char,
    Text,
    /// Behind a backslash in a text.
    Escape,
    Comment,
}

impl Extent {
    /// Whether it ends where the source ends: with a word, which needs nothing to close it.
    fn is_word(&self) -> bool {
        self.depth == 0 && !self.tag && self.inside == Inside::Word
    }

    /// How many of these further bytes belong to the datum; none if all of them do and more must follow.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().enumerate().find_map(|(at, &byte)| self.ends(byte).map(|with| at + usize::from(with)))
    }

    /// Whether the datum ends at this byte, and whether the byte belongs to it.
    fn ends(&mut self, byte: u8) -> Option<bool> {
        match (self.inside, byte) {
            (Inside::Text, b'"') => return self.closed(),
            (Inside::Text, b'\\') => self.inside = Inside::Escape,
            (Inside::Escape, _) => self.inside = Inside::Text,
            (Inside::Char, _) => self.inside = Inside::Word,
            (Inside::Comment, b'\n') => self.inside = Inside::Nothing,
            (Inside::Text | Inside::Comment, _) => {}
            (_, b'"' | b';' | b'(' | b'[' | b'{' | b')' | b']' | b'}' | b',') => return self.mark(byte),
            (_, blank) if blank.is_ascii_whitespace() => return self.mark(blank),
            (Inside::Nothing, b'\\') => self.inside = Inside::Char,
            (Inside::Nothing, _) => {
                self.inside = Inside::Word;
                self.tag = byte == b'#';
            }
            (Inside::Word, _) => {}
        }
        None
    }

    /// A byte that ends a word and may begin something else.
    fn mark(&mut self, byte: u8) -> Option<bool> {
        if self.inside == Inside::Word && self.depth == 0 && !self.tag {
            return Some(false);
        }
        self.inside = Inside::Nothing;
        match byte {
            b'"' => self.inside = Inside::Text,
            b';' => self.inside = Inside::Comment,
            b'(' | b'[' | b'{' => self.depth += 1,
            b')' | b']' | b'}' if self.depth > 0 => {
                self.depth -= 1;
                return self.closed();
            }
            // Nothing is open that it could close: alone, for the reader to refuse.
            b')' | b']' | b'}' => return Some(true),
            _ => {}
        }
        None
    }

    fn closed(&mut self) -> Option<bool> {
        self.inside = Inside::Nothing;
        (self.depth == 0).then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    type All = (Vec<String>, Option<Torn>);

    /// Reads it in pieces of so many bytes.
    fn read(text: &str, piece: usize) -> Result<All, String> {
        let mut data = Data::new(BufReader::with_capacity(piece, text.as_bytes()));
        let mut all = Vec::new();
        loop {
            match data.next() {
                Ok(Some((place, datum))) => all.push(format!("{}:{} {datum}", place.line, place.column)),
                Ok(None) => return Ok((all, data.torn())),
                Err((place, Stopped::Wrong(why))) => {
                    return Err(format!("{}:{} {why}", place.line, place.column));
                }
                Err((_, Stopped::Io(error))) => panic!("{error}"),
            }
        }
    }

    /// The same in pieces of any size.
    fn read_all(text: &str) -> Result<All, String> {
        let whole = read(text, 1 << 13);
        for piece in [1, 2, 3, 7] {
            assert_eq!(read(text, piece), whole, "{text} in pieces of {piece}");
        }
        whole
    }

    #[test]
    fn a_vector_of_data_is_its_data() {
        for (text, expected) in [
            ("{:a 1}\n{:b 2}", vec!["1:1 {:a 1}", "2:1 {:b 2}"]),
            ("[{:a 1}\n {:b \"]}\"}]\n", vec!["1:2 {:a 1}", "2:2 {:b \"]}\"}"]),
            ("; x ]\n( ; y\n{:a ; z }\n 1},{:b \\]})", vec!["3:1 {:a 1}", "4:5 {:b \\]}"]),
            ("#a{:b 1}#c.D {}", vec!["1:1 #a {:b 1}", "1:9 #c.D {}"]),
            ("#_{:a 1} 12 #{3}", vec!["1:10 12", "1:13 #{3}"]),
            ("word", vec!["1:1 word"]),
            ("[]", vec![]),
            (" ,\n", vec![]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(read_all(text), Ok((expected, None)), "{text}");
        }
    }

    #[test]
    fn a_torn_end_is_told_from_a_missing_bracket() {
        for (text, line, bytes) in
            [("{:a 1}\n{:b \"x", 2, 6), ("[{:a 1}\n", 2, 0), ("{:a 1} {:b [1\n2", 1, 8), ("{:a 1} #a", 1, 2)]
        {
            let (all, torn) = read_all(text).unwrap();
            assert_eq!(all, ["1:1 {:a 1}".replace("1:1", if text.starts_with('[') { "1:2" } else { "1:1" })]);
            assert_eq!(torn, Some(Torn { line, bytes }), "{text}");
        }
        assert_eq!(read_all("{:a 1}\n {:b 1\n{:c 1}\n"), Err("2:2 it ends too early".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, why) in [
            ("[{:a 1}]\n]", "2:1 `]` was not expected there"),
            ("{:a 1}\n ]", "2:2 `]` was not expected there"),
            ("{:a\n  {:b 1 :c}}", "2:11 `}` was not expected there"),
        ] {
            assert_eq!(read_all(text), Err(why.to_owned()), "{text}");
        }
    }
}
