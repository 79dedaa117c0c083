//! Banks: money is moved between the accounts of a bank, and reads show all of its balances.
//!
//! Each key is a bank with accounts of its own, so that keys can be judged apart and dropped when they have
//! had their share. Amounts and accounts are few, so that transfers meet, and now and then one finds too
//! little.

use checker::Checker;
use checker::bank::{self, Bank, Op, Ret};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::keys::{Keys, Share, Spread};
use crate::per_key::{Subject, per_key};
use crate::seam::{Generator, Workload};

/// A workload over banks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Banks {
    /// What each bank is like.
    pub bank: Bank,
    /// Transfers are of 1 up to this.
    pub greatest: u8,
    /// How ops are spread over keys.
    pub spread: Spread,
    /// When a key is dropped for a fresh one.
    pub share: Share,
}

impl Default for Banks {
    fn default() -> Banks {
        Banks {
            bank: Bank { accounts: 4, opening: 10, overdraft: false },
            greatest: 5,
            spread: Spread::Halves { hot: 2, quiet: 8 },
            share: Share { ops: 96, unanswered: 4 },
        }
    }
}

impl Workload for Banks {
    type Op = Op;
    type Ret = Ret;

    fn generator(&self, seed: u64) -> Box<dyn Generator<Op = Op, Ret = Ret>> {
        let ops = BankOps { accounts: self.bank.accounts.max(1), greatest: u32::from(self.greatest.max(1)) };
        Box::new(per_key(ops, Keys::new(self.spread, self.share), seed))
    }

    fn checkers(&self) -> Vec<Box<dyn Checker<Op, Ret>>> {
        vec![Box::new(bank::bank(self.bank))]
    }
}

#[derive(Clone, Debug)]
struct BankOps {
    accounts: u16,
    greatest: u32,
}

impl Subject for BankOps {
    type Op = Op;
    type Ret = Ret;

    /// A transfer is always between two accounts, if there are two.
    fn change(&mut self, rng: &mut ChaCha8Rng) -> Op {
        let from = rng.random_range(0..self.accounts);
        let steps = if self.accounts == 1 { 0 } else { rng.random_range(1..self.accounts) };
        // Two numbers below `accounts`: their sum less the count, where it is too great.
        let room = self.accounts - from;
        let to = if steps < room { from + steps } else { steps - room };
        Op::Transfer { from, to, amount: rng.random_range(1..=self.greatest) }
    }

    fn look() -> Op {
        Op::Read
    }
}
