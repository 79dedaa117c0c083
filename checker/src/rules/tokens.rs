//! A map of texts in which every text that is put or appended tells which op it came from.
//!
//! What a get answers then reads as a list of ops: the put that it begins with, or none, and the appends
//! that followed, each directly behind the one before. So each op's text marks a cluster (the op, and the
//! gets that end with it), the longest gets link the clusters into blocks, each block begins with a put
//! or with the empty text, and [`super::chain`] does the rest. An append that no get shows may have come
//! at the end of any block, which is the same as between blocks: it is a block of its own.
//!
//! To be sure which op a piece of text came from, no text may be the start of another one; then a text
//! can be read from its start in one way only. (Texts that number their ops and end with a mark that
//! stands nowhere else are like that.) Most gets need no reading: all those of a block must be starts of
//! its longest one, and to see that they are is to compare bytes.
//!
//! Where texts repeat, a get may not tell which op it saw. Two things can be said nevertheless. Up to the
//! first op that repeats a text the rule is as good as ever, and if it finds a contradiction there, it is
//! one of the whole. And a guess is enough for an order: each piece is taken for the first op of that text
//! that real time and the pieces read so far allow; if the guess comes out as an order, it is one. If it
//! does not, another guess might, and the general search has to say.
//!
//! Contradictions that need no order: a text that cannot be read, since it holds something that nobody
//! asked to put there, or a put that is not at its start, or one op twice; two texts that begin with the
//! same put, neither of which is the start of the other; two blocks that hold the same append.

use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

use super::chain::{Chain, Cluster, Guilt};
use super::zone::{NEVER, line};
use super::{NONE, Reserved};
use crate::certificate::small;
use crate::kv::{Kv, Op, Ret};
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::rule::{Rule, Ruling};
use crate::span::Span;

pub(crate) const RULE: Rule<Kv> =
    Rule { name: "tokens", assumes: "every piece of text tells which op it came from", decide };

fn decide(_: &Kv, spans: &[Span<'_, Op>], meter: &Meter, mutant: Mutant) -> Result<Ruling, Stop> {
    let _reserved = Reserved::new(meter, spans.len(), Chain::BYTES + Texts::BYTES)?;
    let Some(texts) = Texts::of(spans) else { return Ok(Ruling::Declined) };
    let ruling = judge(spans, &texts, meter, mutant)?;
    let (Ruling::Contradiction(_), Some(repeats)) = (&ruling, texts.repeat_from) else { return Ok(ruling) };
    let before = until(spans, repeats);
    let Some(texts) = Texts::of(&before) else { return Ok(Ruling::Declined) };
    match judge(&before, &texts, meter, mutant)? {
        Ruling::Order(_) => Ok(Ruling::Declined),
        ruling => Ok(ruling),
    }
}

/// The same ops, as they were known before this line.
fn until<'a>(spans: &[Span<'a, Op>], line: u64) -> Vec<Span<'a, Op>> {
    let begun = spans.iter().take_while(|span| span.from() < line);
    begun.map(|span| if span.end() < line { *span } else { span.opened() }).collect()
}

/// Judges as if each piece could be read in one way only.
fn judge(spans: &[Span<'_, Op>], texts: &Texts<'_>, meter: &Meter, mutant: Mutant) -> Result<Ruling, Stop> {
    let Some(mut reading) = Reading::new(spans, texts, mutant) else { return Ok(Ruling::Declined) };
    for (number, span) in (0..).zip(spans) {
        if number % (1 << 10) == 0 {
            meter.check(0)?;
        }
        if let Some(Ret::Value(text)) = span.ret()
            && let Err(contradiction) = reading.read(number, text)
        {
            return Ok(contradiction);
        }
    }
    let chain = &reading.chain;
    Ok(match chain.settle(mutant) {
        Ok(order) => Ruling::Order(order),
        Err(apart) => Guilt::of(chain, spans).apart(&apart).ruling(),
    })
}

/// The empty text that is there before the first op.
const EMPTY: u32 = 0;

// --- texts ----------------------------------------------------------------------------------------

/// The texts that were put or appended, none of which is the start of another one.
struct Texts<'s> {
    /// The clusters of the ops with this text, in the order of their invocations.
    clusters: FxHashMap<&'s [u8], SmallVec<[u32; 2]>>,
    /// How long they are, each length once, rising.
    lengths: Vec<usize>,
    /// The line on which a text is asked for that was asked for before.
    repeat_from: Option<u64>,
}

impl<'s> Texts<'s> {
    /// What an op takes: a text in a table that may be half empty.
    const BYTES: usize = 2 * (16 + size_of::<SmallVec<[u32; 2]>>());

    /// None if some text is the start of another one.
    fn of(spans: &'s [Span<'_, Op>]) -> Option<Texts<'s>> {
        let clusters = FxHashMap::with_capacity_and_hasher(spans.len(), FxBuildHasher);
        let mut texts = Texts { clusters, lengths: Vec::new(), repeat_from: None };
        let asked = spans.iter().filter_map(|span| Some((span, written(span)?)));
        for (cluster, (span, text)) in (EMPTY + 1..).zip(asked) {
            if text.is_empty() {
                return None;
            }
            let same = texts.clusters.entry(text.as_bytes()).or_default();
            same.push(cluster);
            if same.len() > 1 {
                texts.repeat_from.get_or_insert(span.from());
            } else if let Err(place) = texts.lengths.binary_search(&text.len()) {
                texts.lengths.insert(place, text.len());
            }
        }
        let ambiguous = texts.clusters.keys().any(|text| {
            let shorter = texts.lengths.iter().take_while(|&&length| length < text.len());
            { shorter }.any(|&length| texts.clusters.contains_key(&text[..length]))
        });
        (!ambiguous).then_some(texts)
    }

    /// The text that this one begins with: the clusters that it may mean, and its length.
    fn first_of(&self, text: &[u8]) -> Option<(&[u32], usize)> {
        let lengths = self.lengths.iter().take_while(|&&length| length <= text.len());
        { lengths }.find_map(|&length| Some((&self.clusters.get(&text[..length])?[..], length)))
    }
}

fn written<'s>(span: &'s Span<'_, Op>) -> Option<&'s str> {
    match &span.attempt.op {
        Op::Get => None,
        Op::Put(text) | Op::Append(text) => Some(text),
    }
}

// --- what gets say --------------------------------------------------------------------------------

/// Reads one get after the other.
struct Reading<'s, 'a> {
    spans: &'s [Span<'a, Op>],
    texts: &'s Texts<'s>,
    chain: Chain,
    /// For each cluster that is the first of a block: the longest text of it that was read.
    longest: FxHashMap<u32, Longest<'s>>,
    mutant: Mutant,
}

/// A text, and where its pieces end.
#[derive(Default)]
struct Longest<'s> {
    text: &'s [u8],
    /// Rising; the cluster is that of the piece that ends there.
    ends: Vec<(usize, u32)>,
}

impl<'s, 'a> Reading<'s, 'a> {
    /// None if the rule does not apply.
    fn new(spans: &'s [Span<'a, Op>], texts: &'s Texts<'s>, mutant: Mutant) -> Option<Reading<'s, 'a>> {
        let mut chain = Chain { of: vec![NONE; spans.len()], clusters: vec![Cluster::BEGINNING] };
        for (number, span) in (0..).zip(spans) {
            let made = line(span.from())?;
            let to = span.to().map_or(Some(NEVER), line)?;
            if written(span).is_some() {
                chain.of[number as usize] = small(chain.clusters.len());
                let mut cluster = Cluster { maker: number, made, ..Cluster::EMPTY };
                cluster.add(number, made, to);
                chain.clusters.push(cluster);
            }
        }
        Some(Reading { spans, texts, chain, longest: FxHashMap::default(), mutant })
    }

    /// Learns what a get says, or what it contradicts.
    fn read(&mut self, get: u32, text: &'s str) -> Result<(), Ruling> {
        let text = text.as_bytes();
        let (first, length) = match self.texts.first_of(text) {
            Some((clusters, length)) => {
                self.begun_with(get, clusters).map_or((EMPTY, 0), |put| (put, length))
            }
            None if text.is_empty() => (EMPTY, 0),
            None => return Err(self.unreadable(get)),
        };
        let known = self.longest.remove(&first).unwrap_or_default();
        let known = if known.ends.is_empty() {
            Longest { text: &text[..length], ends: vec![(length, first)] }
        } else {
            known
        };
        let longest = self.follow(get, text, known)?;
        let seen = longest.ends.binary_search_by_key(&text.len(), |&(end, _)| end);
        // It stops in the middle of a piece.
        let Ok(place) = seen else { return Err(self.unreadable(get)) };
        self.note(get, longest.ends[place].1);
        self.longest.insert(first, longest);
        Ok(())
    }

    /// One of both texts is the start of the other; the longer one is what is known from here on.
    fn follow(&mut self, get: u32, text: &'s [u8], known: Longest<'s>) -> Result<Longest<'s>, Ruling> {
        let common = known.text.len().min(text.len());
        if known.text[..common] != text[..common] && self.mutant != Mutant::ComparesOnlyLengths {
            return Err(self.disagree(get, text, &known));
        }
        if text.len() <= common {
            return Ok(known);
        }
        let Longest { mut ends, .. } = known;
        let (mut at, mut before) = *ends.last().expect("the first piece is there");
        ends.reserve((text.len() - at) / self.texts.lengths.last().copied().unwrap_or(1));
        while at < text.len() {
            let Some((pieces, length)) = self.texts.first_of(&text[at..]) else {
                return Err(self.unreadable(get));
            };
            at += length;
            let piece = self.behind(get, before, pieces);
            self.link(get, before, piece)?;
            ends.push((at, piece));
            before = piece;
        }
        Ok(Longest { text, ends })
    }

    /// The put that a get's text begins with, if it does not begin with an append: the last that had begun.
    fn begun_with(&self, get: u32, clusters: &[u32]) -> Option<u32> {
        let mut puts = clusters.iter().copied().filter(|&cluster| self.is_put(cluster));
        let first = puts.next()?;
        let end = self.spans[get as usize].end();
        let begun = |&put: &u32| self.maker(put).from() < end;
        Some(puts.rfind(begun).unwrap_or(first))
    }

    /// The one of these appends that stands behind this piece: the first one that can.
    fn behind(&self, get: u32, before: u32, pieces: &[u32]) -> u32 {
        let [first, .., _] = *pieces else { return pieces[0] };
        let earliest = if before == EMPTY { 0 } else { self.maker(before).from() };
        let end = self.spans[get as usize].end();
        let can = |&piece: &u32| {
            let maker = self.maker(piece);
            let free = self.chain.clusters[piece as usize].before == NONE && !self.is_put(piece);
            free && maker.end() > earliest && maker.from() < end
        };
        pieces.iter().copied().find(can).unwrap_or(first)
    }

    /// A get shows this piece behind that one.
    fn link(&mut self, get: u32, before: u32, piece: u32) -> Result<(), Ruling> {
        let cluster = &mut self.chain.clusters[piece as usize];
        if cluster.before != NONE || self.is_put(piece) {
            // It stands there twice, or in another block too, or it would have taken away what is before it.
            return Err(self.twice(get, piece));
        }
        self.chain.clusters[piece as usize].before = before;
        self.chain.clusters[before as usize].after = piece;
        self.chain.clusters[piece as usize].shown_by = get;
        if self.chain.clusters[before as usize].shown_by == NONE {
            self.chain.clusters[before as usize].shown_by = get;
        }
        Ok(())
    }

    fn is_put(&self, cluster: u32) -> bool {
        matches!(self.maker(cluster).attempt.op, Op::Put(_))
    }

    fn maker(&self, cluster: u32) -> &'s Span<'a, Op> {
        &self.spans[self.chain.clusters[cluster as usize].maker as usize]
    }

    /// This get ends with this cluster's piece.
    fn note(&mut self, get: u32, cluster: u32) {
        let span = &self.spans[get as usize];
        let lines = line(span.from()).zip(span.to().and_then(line));
        let (from, to) = lines.expect("all lines were looked at before");
        self.chain.of[get as usize] = cluster;
        self.chain.clusters[cluster as usize].add(get, from, to);
    }

    // --- contradictions ---------------------------------------------------------------------------

    /// A get whose text nobody can have made. The ops whose texts it holds do not help it.
    fn unreadable(&self, get: u32) -> Ruling {
        Guilt::of(&self.chain, self.spans).op(get).ruling()
    }

    /// A get that holds a piece where it cannot be, since it is elsewhere already, or a put.
    fn twice(&self, get: u32, piece: u32) -> Ruling {
        let pieces = self.pieces(get);
        let guilt = Guilt::of(&self.chain, self.spans).op(get).cluster(piece);
        pieces.into_iter().fold(guilt, Guilt::made).ruling()
    }

    /// Two gets of one block of which neither begins with the other.
    fn disagree(&self, get: u32, text: &[u8], known: &Longest<'_>) -> Ruling {
        let mut guilt = Guilt::of(&self.chain, self.spans).op(get);
        let apart = known.text.iter().zip(text).take_while(|(one, two)| one == two).count();
        // The first piece that the other text has and this one has not.
        if let Some(&(_, piece)) = known.ends.iter().find(|&&(end, _)| end > apart) {
            guilt = guilt.cluster(piece);
        }
        self.pieces(get).into_iter().fold(guilt, Guilt::made).ruling()
    }

    /// The ops whose texts a get holds, as far as it can be read.
    fn pieces(&self, get: u32) -> Vec<u32> {
        let Some(Ret::Value(text)) = self.spans[get as usize].ret() else { return Vec::new() };
        let mut rest = text.as_bytes();
        let mut pieces = Vec::new();
        while let Some((same, length)) = self.texts.first_of(rest) {
            pieces.extend(same);
            rest = &rest[length..];
        }
        pieces
    }
}
