//! Each account of a bank is a key, with its balance as text; one that is not there has what all open with.
//!
//! The store cannot compute, so a transfer takes two calls:
//! 1. look at all accounts, which is linearizable; if there is too little, that is the answer, as of now;
//! 2. write both balances in one transaction, if neither account was changed since.
//!
//! Two accounts are guarded and no more: what the others hold does not matter to this transfer. A transaction
//! that finds a guard broken did nothing, so the transfer *failed*; whoever repeated the two calls could be
//! repeating a transfer that happened. A transaction that is carried out twice breaks its own guards, so it
//! moves money once; and whoever asked for it twice is told of a failure that was none.

use checker::bank::{Op, Ret};
use history::{Key, Outcome};

use super::request::{object, part, parts, text, unchanged};
use super::{Asked, Asking, KeyValue, Nonsense, OVERTAKEN, Put, Reply, Request, Revision, Step, Txn};
use crate::Banks;

/// Which call is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// The one that looks at all accounts.
    Looking,
    /// The one that writes two of them.
    Moving,
}

/// An account as it was seen.
#[derive(Clone, Copy)]
struct Account {
    balance: i64,
    /// When it was last changed; 0 if never.
    modified: Revision,
}

impl Asking for Banks {
    type Open = Open;

    fn begin(&self, _: &Op, key: Option<&Key>) -> (Request, Open) {
        (Request::Range(parts(object(key))), Open::Looking)
    }

    fn replied(&self, op: &Op, key: Option<&Key>, open: Open, reply: Reply) -> Result<Asked<Self>, Nonsense> {
        if open == Open::Moving {
            let moved = reply.txn()?.succeeded;
            let overtaken = || Outcome::Fail(OVERTAKEN.to_owned());
            return Ok(Asked::Over(if moved { Outcome::Ok(Ret::Moved(true)) } else { overtaken() }));
        }
        let bank = object(key);
        let accounts = accounts(self, bank, &reply.range()?)?;
        Ok(match *op {
            Op::Read => {
                let balances = accounts.iter().map(|account| account.balance).collect();
                Asked::Over(Outcome::Ok(Ret::Balances(balances)))
            }
            Op::Transfer { from, to, amount } => transfer(self, bank, &accounts, (from, to), amount.into()),
        })
    }
}

/// All accounts, from those that were ever changed.
fn accounts(banks: &Banks, bank: &str, found: &[KeyValue]) -> Result<Vec<Account>, Nonsense> {
    let unchanged = Account { balance: banks.bank.opening.into(), modified: Revision(0) };
    let mut accounts = vec![unchanged; banks.bank.accounts.into()];
    for kv in found {
        let number: u16 = kv.part(bank)?;
        let account = accounts.get_mut(usize::from(number));
        let account = account.ok_or_else(|| Nonsense(format!("there is no account {number}")))?;
        *account = Account { balance: kv.number()?, modified: kv.modified };
    }
    Ok(accounts)
}

/// Refuses a transfer, or goes on with it.
fn transfer(
    banks: &Banks,
    bank: &str,
    accounts: &[Account],
    (from, to): (u16, u16),
    amount: i64,
) -> Asked<Banks> {
    let seen = |number: u16| accounts.get(usize::from(number)).copied();
    let (Some(giver), Some(taker)) = (seen(from), seen(to)) else {
        return Asked::Over(Outcome::Ok(Ret::Moved(false)));
    };
    let enough = banks.bank.overdraft || giver.balance >= amount;
    if !enough || from == to {
        return Asked::Over(Outcome::Ok(Ret::Moved(enough)));
    }
    let (giver_key, taker_key) = (part(bank, from), part(bank, to));
    let txn = Txn {
        conditions: vec![
            unchanged(giver_key.clone(), giver.modified),
            unchanged(taker_key.clone(), taker.modified),
        ],
        steps: vec![
            Step::Put(Put { key: giver_key, value: text(giver.balance - amount) }),
            Step::Put(Put { key: taker_key, value: text(taker.balance + amount) }),
        ],
    };
    Asked::Again(Request::Txn(txn), Open::Moving)
}
