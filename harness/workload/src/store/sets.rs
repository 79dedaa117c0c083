//! A set is the numbers that were added to it. What cannot be seen is an add that is carried out twice, which is
//! true of any set.

use std::sync::Arc;

use super::growing::Growing;
use crate::Sets;
use checker::set::{Op, Ret};

impl Growing for Sets {
    type Number = u64;

    fn added(op: &Op) -> Option<u64> {
        match *op {
            Op::Add(element) => Some(element),
            Op::Read => None,
        }
    }

    fn acknowledged() -> Ret {
        Ret::Added
    }

    fn found(elements: Vec<(u64, i64)>) -> Ret {
        Ret::Elements(Arc::new(elements.into_iter().map(|(element, _)| element).collect()))
    }
}
