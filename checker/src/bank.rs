//! A bank: money is moved between accounts, and a read shows all balances at once.
//!
//! A transfer takes from one account and gives to another, together or not at all; so whatever happens, all
//! balances together stay what they were. That is the oldest test of a transaction, and it needs no search:
//! one read with a wrong sum is wrong whatever the others did. It is not enough, though. A read of balances
//! that are old, or that lack an acknowledged transfer, adds up as well. So bank histories are held against
//! the whole model, and the sum is a rule in front of the search.
//!
//! A transfer that would leave an account overdrawn is answered with `false`, and that answer is checked too,
//! like a compare-and-set that found another value.
//!
//! As JSON, accounts by their numbers from 0:
//!
//! | op | asked | answered |
//! |---|---|---|
//! | transfer | `"f":"transfer","value":{"from":0,"to":2,"amount":5}` | the same, and `"result":true` or `false` |
//! | read | `"f":"read","value":null` | `"value":[5,10,15]`: the balance of each account, in order |
//!
//! Every account opens with the same balance, and one that nobody touched has it: who keeps accounts in a
//! map takes an absent one for a full one, and need not set anything up.

use std::sync::Arc;

use history::{Answered, Asked, Operation, Unreadable};
use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::explain::{Explanation, Refuted, in_general, index, place};
use crate::explain_states::few_ops_or_states;
use crate::linearizable::Linearizable;
use crate::meter::{Meter, Stop};
use crate::mutant::Mutant;
use crate::rule::{Clash, Rule, Ruling};
use crate::seam::{Interval, Model};
use crate::span::Span;

/// What can be asked of a bank.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Move this much.
    Transfer {
        /// The account it is taken from.
        from: u16,
        /// The account it is given to.
        to: u16,
        /// How much.
        amount: u32,
    },
    /// What is in all accounts?
    Read,
}

/// What a bank answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ret {
    /// A transfer's answer: whether there was enough, and it was moved.
    Moved(bool),
    /// A read's answer: the balance of each account, in order.
    Balances(Arc<[i64]>),
}

impl Operation for Op {
    type Ret = Ret;

    fn ask(&self) -> Asked {
        let (f, value) = match *self {
            Op::Transfer { from, to, amount } => {
                ("transfer", json!({ "from": from, "to": to, "amount": amount }))
            }
            Op::Read => ("read", Value::Null),
        };
        Asked { f: f.to_owned(), value }
    }

    fn read_ask(asked: &Asked) -> Result<Op, Unreadable> {
        let Asked { f, value } = asked;
        match f.as_str() {
            "transfer" => transfer(value).ok_or_else(|| {
                bad("value", f, "an object with the numbers `from`, `to` and `amount`", value)
            }),
            "read" if value.is_null() => Ok(Op::Read),
            "read" => Err(bad("value", f, "null where it is asked", value)),
            other => Err(Unreadable::UnknownF { f: other.to_owned(), known: "transfer, read" }),
        }
    }

    fn answer(&self, ret: &Ret) -> Answered {
        match ret {
            Ret::Moved(moved) => Answered { value: self.ask().value, result: Some(json!(moved)) },
            Ret::Balances(balances) => Answered { value: json!(**balances), result: None },
        }
    }

    fn read_answer(&self, answered: &Answered) -> Result<Ret, Unreadable> {
        let Answered { value, result } = answered;
        match self {
            Op::Transfer { .. } if !value.is_null() && transfer(value) != Some(*self) => {
                Err(bad("value", "transfer", "what was asked, or null", value))
            }
            Op::Transfer { .. } => match result {
                Some(Value::Bool(moved)) => Ok(Ret::Moved(*moved)),
                other => Err(bad("result", "transfer", "true or false", &json!(other))),
            },
            Op::Read => {
                let balances = value.as_array().and_then(|all| all.iter().map(Value::as_i64).collect());
                let balances = balances.map(Ret::Balances);
                balances.ok_or_else(|| bad("value", "read", "a list of whole numbers", value))
            }
        }
    }
}

fn transfer(value: &Value) -> Option<Op> {
    let number = |name| value.get(name).and_then(Value::as_u64);
    let account = |name| u16::try_from(number(name)?).ok();
    let amount = u32::try_from(number("amount")?).ok()?;
    Some(Op::Transfer { from: account("from")?, to: account("to")?, amount })
}

fn bad(field: &'static str, f: &str, expected: &'static str, found: &Value) -> Unreadable {
    Unreadable::BadValue { field, f: f.to_owned(), expected, found: found.to_string() }
}

/// The model of a bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bank {
    /// How many accounts it has, numbered from 0.
    pub accounts: u16,
    /// What each of them opens with.
    pub opening: u32,
    /// Whether an account may go below zero. If not, a transfer that would do that is refused.
    pub overdraft: bool,
}

impl Bank {
    /// What is in all accounts together, always.
    fn total(self) -> i128 {
        i128::from(self.accounts) * i128::from(self.opening)
    }

    /// Moves money, if there are such accounts and there is enough.
    fn transfer(self, balances: &mut Arc<[i64]>, from: u16, to: u16, amount: u32) -> bool {
        let amount = i64::from(amount);
        let enough = |balance: &i64| self.overdraft || *balance >= amount;
        let known = to < self.accounts && balances.get(usize::from(from)).is_some_and(enough);
        if known && from != to {
            let balances = Arc::make_mut(balances);
            balances[usize::from(from)] -= amount;
            balances[usize::from(to)] += amount;
        }
        known
    }

    /// What no bank of this kind shows, whatever was transferred.
    fn nonsense(self, balances: &[i64]) -> Option<String> {
        let accounts = usize::from(self.accounts);
        if balances.len() != accounts {
            return Some(format!("{} accounts, but there are {accounts}", balances.len()));
        }
        let sum: i128 = balances.iter().copied().map(i128::from).sum();
        if sum != self.total() {
            let total = self.total();
            return Some(format!("{sum} in all, but no transfer makes or loses money, and it was {total}"));
        }
        let overdrawn = balances.iter().position(|&balance| balance < 0).filter(|_| !self.overdraft)?;
        let balance = balances[overdrawn];
        Some(format!("{balance} in account {overdrawn}, but no transfer leaves an account overdrawn"))
    }
}

impl Model for Bank {
    type Op = Op;
    type State = Arc<[i64]>;

    fn init(&self) -> Arc<[i64]> {
        vec![i64::from(self.opening); usize::from(self.accounts)].into()
    }

    fn step(
        &self,
        state: &Arc<[i64]>,
        op: &Op,
        ret: Option<&Ret>,
        when: Interval,
        next: &mut SmallVec<[Arc<[i64]>; 1]>,
    ) {
        let mut state = Arc::clone(state);
        if self.advance(&mut state, op, ret, when) == Some(true) {
            next.push(state);
        }
    }

    fn advance(&self, state: &mut Arc<[i64]>, op: &Op, ret: Option<&Ret>, _: Interval) -> Option<bool> {
        Some(match *op {
            Op::Transfer { from, to, amount } => {
                let moved = self.transfer(state, from, to, amount);
                ret.is_none_or(|heard| *heard == Ret::Moved(moved))
            }
            Op::Read => match ret {
                None => true,
                Some(Ret::Balances(shown)) => shown == state,
                Some(Ret::Moved(_)) => false,
            },
        })
    }

    fn only_looks(&self, op: &Op, ret: Option<&Ret>) -> bool {
        match *op {
            Op::Read => true,
            Op::Transfer { from, to, amount } => from == to || amount == 0 || ret == Some(&Ret::Moved(false)),
        }
    }

    fn heap(&self, state: &Arc<[i64]>) -> usize {
        size_of_val(&**state)
    }

    fn show(&self, state: &Arc<[i64]>) -> String {
        shown(state)
    }

    fn explain(&self, refuted: &Refuted<'_, Bank>) -> Explanation {
        nonsense(refuted)
            .or_else(|| few_ops_or_states(refuted, statement))
            .unwrap_or_else(|| in_general(refuted))
    }
}

/// Judges a bank.
pub fn bank(bank: Bank) -> Linearizable<Bank> {
    Linearizable::new("bank", bank).ruled_by(&RULES)
}

static RULES: [Rule<Bank>; 1] =
    [Rule { name: "sums", assumes: "a transfer makes and loses no money", decide }];

/// Looks at each read alone. What passes is left to the search.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "a rule is given a model, however small")]
fn decide(bank: &Bank, spans: &[Span<'_, Op>], meter: &Meter, _: Mutant) -> Result<Ruling, Stop> {
    meter.check(0)?;
    let impossible = (0..).zip(spans).filter_map(|(number, span)| match span.ret() {
        Some(Ret::Balances(balances)) => bank.nonsense(balances).and(Some((span.to()?, number))),
        _ => None,
    });
    Ok(match impossible.min() {
        Some((bad, read)) => Ruling::Contradiction(Clash { ops: vec![read], bad, earliest: false }),
        None => Ruling::Declined,
    })
}

// --- the words ------------------------------------------------------------------------------------

fn nonsense(refuted: &Refuted<'_, Bank>) -> Option<Explanation> {
    let culprit = refuted.culprit();
    let Some(Ret::Balances(balances)) = culprit.ret() else { return None };
    let nonsense = refuted.model.nonsense(balances)?;
    let other = refuted.last_before(|span| span.ret() == Some(&Ret::Moved(true)));
    let last = other.map_or_else(String::new, |other| {
        format!("; the last one acknowledged: {}", noun(&refuted.spans[other]))
    });
    Some(Explanation {
        sentence: format!("{}: {nonsense}{last}", statement(culprit)),
        named: [refuted.culprit].into_iter().chain(other).collect(),
    })
}

/// "process 3 read 5, 10, 15 from n1 (index 41)".
fn statement(span: &Span<'_, Op>) -> String {
    match span.ret() {
        Some(Ret::Balances(balances)) => {
            let (process, from) = (span.attempt.process, place("from", span));
            format!("process {process} read {}{from} {}", shown(balances), index(span))
        }
        Some(Ret::Moved(true)) => format!("{} was acknowledged", noun(span)),
        Some(Ret::Moved(false)) => format!("{} found too little", noun(span)),
        None => format!("{} began", noun(span)),
    }
}

/// "process 1's transfer of 5 from 0 to 2 on n2 (index 37)".
fn noun(span: &Span<'_, Op>) -> String {
    let (process, index) = (span.attempt.process, index(span));
    match span.attempt.op {
        Op::Read => format!("process {process}'s read{} {index}", place("from", span)),
        Op::Transfer { from, to, amount } => {
            let node = place("on", span);
            format!("process {process}'s transfer of {amount} from {from} to {to}{node} {index}")
        }
    }
}

fn shown(balances: &[i64]) -> String {
    let balances: Vec<String> = balances.iter().map(i64::to_string).collect();
    format!("[{}]", balances.join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::played::{Subject, compared, history, judged, steps};

    const SMALL: Bank = Bank { accounts: 3, opening: 2, overdraft: false };

    /// A bank of which the tests know nothing but what a bank is.
    struct Played;

    impl Subject for Played {
        type Op = Op;
        type State = [i64; 3];

        fn effect(&self, moved: &mut [i64; 3], op: &Op) -> Ret {
            match *op {
                Op::Transfer { from, to, amount } => {
                    let (from, to, amount) = (usize::from(from), usize::from(to), i64::from(amount));
                    let enough = 2 + moved[from] >= amount;
                    if enough {
                        moved[from] -= amount;
                        moved[to] += amount;
                    }
                    Ret::Moved(enough)
                }
                Op::Read => Ret::Balances(moved.map(|moved| 2 + moved).into()),
            }
        }

        /// The balances of two accounts the other way round, or one that is too great; the other answer.
        fn lie(&self, ret: Ret, number: u64) -> Ret {
            match ret {
                Ret::Moved(moved) => Ret::Moved(!moved),
                Ret::Balances(mut balances) => {
                    let all = Arc::make_mut(&mut balances);
                    if number == 0 {
                        all[0] += 1;
                    } else {
                        all.swap(0, 1);
                    }
                    Ret::Balances(balances)
                }
            }
        }
    }

    #[test]
    fn the_rule_and_the_search_agree_with_the_plain_search() {
        let transfer = (0_u16..3, 0_u16..3, 0_u32..3);
        let transfer = transfer.prop_map(|(from, to, amount)| Op::Transfer { from, to, amount });
        compared(&|| bank(SMALL), &Played, steps(prop_oneof![transfer, Just(Op::Read)]));
    }

    fn said(lines: &str) -> String {
        judged(&bank(SMALL), &history::<Op>(lines))
    }

    /// Process 0 moves 2 from account 0 to account 1, and then process 1 reads.
    fn after_a_transfer(balances: &str) -> String {
        let transfer = r#"{"from":0,"to":1,"amount":2}"#;
        said(&format!("0 transfer {transfer}\n0 ! null = true\n1 read\n1 ! {balances}"))
    }

    #[test]
    fn money_is_neither_made_nor_lost() {
        assert_eq!(after_a_transfer("[0,4,2]"), "valid");
        assert_eq!(
            after_a_transfer("[2,4,2]"),
            "process 1 read [2, 4, 2] (index 3): 8 in all, but no transfer makes or loses money, and it was \
             6; the last one acknowledged: process 0's transfer of 2 from 0 to 1 (index 1)"
        );
        assert_eq!(
            after_a_transfer("[-2,6,2]"),
            "process 1 read [-2, 6, 2] (index 3): -2 in account 0, but no transfer leaves an account \
             overdrawn; the last one acknowledged: process 0's transfer of 2 from 0 to 1 (index 1)"
        );
        assert!(after_a_transfer("[6]").contains("1 accounts, but there are 3"));
    }

    #[test]
    fn balances_that_add_up_and_are_old_are_found_too() {
        assert_eq!(
            after_a_transfer("[2,2,2]"),
            "process 1 read [2, 2, 2] (index 3), but process 0's transfer of 2 from 0 to 1 (index 1) was \
             acknowledged, and no order explains both"
        );
    }

    #[test]
    fn where_it_takes_many_ops_the_sentence_says_what_they_left() {
        let generous = bank(Bank { overdraft: true, ..SMALL });
        let transfers = "0 transfer {\"from\":0,\"to\":1,\"amount\":1}\n0 ! null = true\n".repeat(6);
        let said =
            |balances| judged(&generous, &history::<Op>(&format!("{transfers}1 read\n1 ! {balances}")));
        assert_eq!(said("[-4,8,2]"), "valid");
        assert_eq!(
            said("[-3,7,2]"),
            "process 1 read [-3, 7, 2] (index 13), but all that was acknowledged before leaves only \
             [-4, 8, 2]; last known before: process 0's transfer of 1 from 0 to 1 (index 11) was acknowledged"
        );
    }

    #[test]
    fn a_refusal_is_an_answer_and_is_checked() {
        let asked = |amount: u32, result: bool| {
            let transfer = format!(r#"{{"from":0,"to":1,"amount":{amount}}}"#);
            said(&format!("0 transfer {transfer}\n0 ! null = {result}"))
        };
        assert_eq!(asked(3, false), "valid");
        assert_eq!(
            asked(2, false),
            "process 0's transfer of 2 from 0 to 1 (index 1) found too little, which nothing that was asked \
             can explain"
        );
        assert!(
            asked(3, true).starts_with("process 0's transfer of 3 from 0 to 1 (index 1) was acknowledged")
        );
    }

    #[test]
    fn an_overdraft_is_fine_where_it_is_allowed() {
        let lines = "0 transfer {\"from\":0,\"to\":1,\"amount\":3}\n0 ! null = true\n1 read\n1 ! [-1,5,2]";
        let generous = Bank { overdraft: true, ..SMALL };
        assert_eq!(judged(&bank(generous), &history::<Op>(lines)), "valid");
        assert_ne!(said(lines), "valid");
    }
}
