//! Between etcd's messages and our types.
//!
//! Messages can say things that make no sense: a value together with "keep the value", an enum value
//! from the future, a step that is nothing. They are refused here, with etcd's words where etcd has
//! any, so that behind this file every value is well formed in itself. What takes more than one look
//! (empty keys, duplicate keys, too many ops) is [`kv::check`]'s.

use bytes::Bytes;
use kv::{
    Answer, Comparison, Condition, DeleteRange, Deleted, KeyValue, Keys, Kvs, LeaseId, Operand, Order, Put,
    Range, Replaced, Revision, Sort, SortBy, Step, Txn, TxnAnswer,
};
use wire::etcdserverpb as pb;
use wire::mvccpb;

use crate::refusal::Rejected;

// --- questions ----------------------------------------------------------------------------------

/// Reads a range request. Whether a stale answer will do is not part of it.
pub fn range(request: pb::RangeRequest) -> Result<Range, Rejected> {
    Ok(Range {
        revision: Revision(request.revision),
        limit: request.limit,
        sort: sort(request.sort_order, request.sort_target)?,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod: Revision(request.min_mod_revision),
        max_mod: Revision(request.max_mod_revision),
        min_create: Revision(request.min_create_revision),
        max_create: Revision(request.max_create_revision),
        keys: Keys::new(request.key, request.range_end),
    })
}

/// The store answers in the order of keys by itself. A target without an order means upwards.
fn sort(order: i32, target: i32) -> Result<Option<Sort>, Rejected> {
    use pb::range_request::{SortOrder, SortTarget};
    let order = SortOrder::try_from(order).map_err(|_| Rejected::InvalidSort)?;
    let by = match SortTarget::try_from(target).map_err(|_| Rejected::InvalidSort)? {
        SortTarget::Key => SortBy::Key,
        SortTarget::Version => SortBy::Version,
        SortTarget::Create => SortBy::Create,
        SortTarget::Mod => SortBy::Mod,
        SortTarget::Value => SortBy::Value,
    };
    Ok(match (order, by) {
        (SortOrder::None | SortOrder::Ascend, SortBy::Key) => None,
        (SortOrder::None | SortOrder::Ascend, by) => Some(Sort { by, order: Order::Ascending }),
        (SortOrder::Descend, by) => Some(Sort { by, order: Order::Descending }),
    })
}

/// Reads a put request.
pub fn put(request: pb::PutRequest) -> Result<Put, Rejected> {
    let value = match (request.ignore_value, request.value) {
        (true, value) if !value.is_empty() => return Err(Rejected::ValueProvided),
        (true, _) => None,
        (false, value) => Some(value),
    };
    let lease = match (request.ignore_lease, request.lease) {
        (true, 0) => None,
        (true, _) => return Err(Rejected::LeaseProvided),
        (false, lease) => Some(LeaseId(lease)),
    };
    Ok(Put { key: request.key, value, lease, previous: request.prev_kv })
}

/// Reads a delete request.
pub fn delete_range(request: pb::DeleteRangeRequest) -> DeleteRange {
    DeleteRange { keys: Keys::new(request.key, request.range_end), previous: request.prev_kv }
}

/// Reads a transaction. The message library has bounded its depth.
pub fn txn(request: pb::TxnRequest) -> Result<Txn, Rejected> {
    Ok(Txn {
        conditions: request.compare.into_iter().map(condition).collect::<Result<_, _>>()?,
        success: request.success.into_iter().map(step).collect::<Result<_, _>>()?,
        failure: request.failure.into_iter().map(step).collect::<Result<_, _>>()?,
    })
}

/// Whether a stale answer to every read of it will do.
pub fn is_serializable(request: &pb::TxnRequest) -> bool {
    use pb::request_op::Request;
    request.success.iter().chain(&request.failure).all(|op| match &op.request {
        Some(Request::RequestRange(range)) => range.serializable,
        Some(Request::RequestTxn(inner)) => is_serializable(inner),
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) | None => false,
    })
}

fn step(op: pb::RequestOp) -> Result<Step, Rejected> {
    use pb::request_op::Request;
    Ok(match op.request.ok_or(Rejected::EmptyStep)? {
        Request::RequestRange(request) => Step::Range(range(request)?),
        Request::RequestPut(request) => Step::Put(put(request)?),
        Request::RequestDeleteRange(request) => Step::DeleteRange(delete_range(request)),
        Request::RequestTxn(request) => Step::Txn(txn(request)?),
    })
}

fn condition(compare: pb::Compare) -> Result<Condition, Rejected> {
    use pb::compare::CompareResult;
    let comparison = match CompareResult::try_from(compare.result).map_err(|_| Rejected::InvalidCompare)? {
        CompareResult::Equal => Comparison::Equal,
        CompareResult::Greater => Comparison::Greater,
        CompareResult::Less => Comparison::Less,
        CompareResult::NotEqual => Comparison::NotEqual,
    };
    let operand = operand(compare.target, compare.target_union)?;
    Ok(Condition { keys: Keys::new(compare.key, compare.range_end), comparison, operand })
}

/// An operand of another kind than the target counts as none given, that is zero, as in etcd.
fn operand(target: i32, given: Option<pb::compare::TargetUnion>) -> Result<Operand, Rejected> {
    use pb::compare::{CompareTarget, TargetUnion};
    let target = CompareTarget::try_from(target).map_err(|_| Rejected::InvalidCompare)?;
    Ok(match (target, given) {
        (CompareTarget::Version, Some(TargetUnion::Version(number))) => Operand::Version(number),
        (CompareTarget::Version, _) => Operand::Version(0),
        (CompareTarget::Create, Some(TargetUnion::CreateRevision(number))) => {
            Operand::Create(Revision(number))
        }
        (CompareTarget::Create, _) => Operand::Create(Revision(0)),
        (CompareTarget::Mod, Some(TargetUnion::ModRevision(number))) => Operand::Mod(Revision(number)),
        (CompareTarget::Mod, _) => Operand::Mod(Revision(0)),
        (CompareTarget::Value, Some(TargetUnion::Value(value))) => Operand::Value(value),
        (CompareTarget::Value, _) => Operand::Value(Bytes::new()),
        (CompareTarget::Lease, Some(TargetUnion::Lease(number))) => Operand::Lease(LeaseId(number)),
        (CompareTarget::Lease, _) => Operand::Lease(LeaseId::NONE),
    })
}

// --- answers --------------------------------------------------------------------------------------

/// Writes the answer to a range.
pub fn range_response(header: pb::ResponseHeader, kvs: Kvs) -> pb::RangeResponse {
    pb::RangeResponse {
        header: Some(header),
        kvs: kvs.kvs.into_iter().map(key_value).collect(),
        more: kvs.more,
        count: kvs.count,
    }
}

/// Writes the answer to a put.
pub fn put_response(header: pb::ResponseHeader, replaced: Replaced) -> pb::PutResponse {
    pb::PutResponse { header: Some(header), prev_kv: replaced.previous.map(key_value) }
}

/// Writes the answer to a delete.
pub fn delete_range_response(header: pb::ResponseHeader, deleted: Deleted) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse {
        header: Some(header),
        deleted: deleted.count,
        prev_kvs: deleted.previous.into_iter().map(key_value).collect(),
    }
}

/// Writes the answer to a transaction.
pub fn txn_response(header: pb::ResponseHeader, answer: TxnAnswer) -> pb::TxnResponse {
    pb::TxnResponse {
        header: Some(header),
        succeeded: answer.succeeded,
        responses: answer
            .answers
            .into_iter()
            .map(|(revision, answer)| step_response(revision, answer))
            .collect(),
    }
}

/// The header of a step carries the revision alone: the rest stands at the head of the whole answer.
fn step_response(revision: Revision, answer: Answer) -> pb::ResponseOp {
    use pb::response_op::Response;
    let header = pb::ResponseHeader { revision: revision.0, ..pb::ResponseHeader::default() };
    let response = match answer {
        Answer::Range(kvs) => Some(Response::ResponseRange(range_response(header, kvs))),
        Answer::Put(replaced) => Some(Response::ResponsePut(put_response(header, replaced))),
        Answer::DeleteRange(deleted) => {
            Some(Response::ResponseDeleteRange(delete_range_response(header, deleted)))
        }
        Answer::Txn(inner) => Some(Response::ResponseTxn(txn_response(header, inner))),
        Answer::Compacted | Answer::Size(_) | Answer::Members(_) | Answer::Image(_) => None, // no step asks for these
    };
    pb::ResponseOp { response }
}

fn key_value(kv: KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: kv.key,
        create_revision: kv.create.0,
        mod_revision: kv.modified.0,
        version: kv.version,
        value: kv.value,
        lease: kv.lease.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_request() -> pb::PutRequest {
        pb::PutRequest { key: "k".into(), ..pb::PutRequest::default() }
    }

    #[test]
    fn a_value_together_with_keep_the_value_is_refused() {
        let kept = put(pb::PutRequest { ignore_value: true, ..put_request() }).unwrap();
        assert_eq!((kept.value, kept.lease), (None, Some(LeaseId::NONE)));
        let both = pb::PutRequest { ignore_value: true, value: "v".into(), ..put_request() };
        assert_eq!(put(both), Err(Rejected::ValueProvided));
        let empty = put(put_request()).unwrap();
        assert_eq!(empty.value, Some(Bytes::new()), "an empty value is a value");
    }

    #[test]
    fn a_lease_together_with_keep_the_lease_is_refused() {
        let both = pb::PutRequest { ignore_lease: true, lease: 7, ..put_request() };
        assert_eq!(put(both), Err(Rejected::LeaseProvided));
        assert_eq!(put(pb::PutRequest { ignore_lease: true, ..put_request() }).unwrap().lease, None);
    }

    #[test]
    fn a_sort_target_without_an_order_sorts_upwards_and_keys_need_no_sort() {
        use pb::range_request::{SortOrder, SortTarget};
        let sorted = |order: SortOrder, target: SortTarget| sort(order.into(), target.into()).unwrap();
        assert_eq!(sorted(SortOrder::None, SortTarget::Key), None);
        assert_eq!(sorted(SortOrder::Ascend, SortTarget::Key), None);
        let upwards = Sort { by: SortBy::Mod, order: Order::Ascending };
        assert_eq!(sorted(SortOrder::None, SortTarget::Mod), Some(upwards));
        let downwards = Sort { by: SortBy::Key, order: Order::Descending };
        assert_eq!(sorted(SortOrder::Descend, SortTarget::Key), Some(downwards));
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        let key = || Bytes::from_static(b"k");
        let sort = pb::RangeRequest { key: key(), sort_target: 9, ..pb::RangeRequest::default() };
        assert_eq!(range(sort), Err(Rejected::InvalidSort));
        for (result, target) in [(9, 0), (0, 9)] {
            let compare = pb::Compare { key: key(), result, target, ..pb::Compare::default() };
            let request = pb::TxnRequest { compare: vec![compare], ..pb::TxnRequest::default() };
            assert_eq!(txn(request), Err(Rejected::InvalidCompare));
        }
        let nothing = pb::TxnRequest { success: vec![pb::RequestOp::default()], ..pb::TxnRequest::default() };
        assert_eq!(txn(nothing), Err(Rejected::EmptyStep));
    }

    #[test]
    fn an_operand_of_another_kind_counts_as_zero() {
        use pb::compare::{CompareTarget, TargetUnion};
        let given = Some(TargetUnion::Value("v".into()));
        assert_eq!(operand(CompareTarget::Version.into(), given), Ok(Operand::Version(0)));
        assert_eq!(operand(CompareTarget::Value.into(), None), Ok(Operand::Value(Bytes::new())));
    }

    #[test]
    fn a_transaction_may_be_stale_only_if_every_read_of_it_may() {
        use pb::request_op::Request;
        let read = |serializable| pb::RequestOp {
            request: Some(Request::RequestRange(pb::RangeRequest {
                key: "k".into(),
                serializable,
                ..pb::RangeRequest::default()
            })),
        };
        let of = |success, failure| pb::TxnRequest { success, failure, ..pb::TxnRequest::default() };
        assert!(is_serializable(&of(vec![read(true)], vec![read(true)])));
        assert!(!is_serializable(&of(vec![read(true)], vec![read(false)])));
        let nested = pb::RequestOp { request: Some(Request::RequestTxn(of(vec![read(false)], vec![]))) };
        assert!(!is_serializable(&of(vec![nested], vec![])));
    }

    #[test]
    fn every_step_is_answered_in_its_kind_with_the_revision_it_saw() {
        use pb::response_op::Response;
        let kvs = Kvs { kvs: vec![], more: false, count: 0 };
        let answers = vec![
            (Revision(1), Answer::Range(kvs)),
            (Revision(2), Answer::Put(Replaced { previous: None })),
            (Revision(2), Answer::DeleteRange(Deleted { count: 1, previous: vec![] })),
            (Revision(2), Answer::Txn(TxnAnswer { succeeded: true, answers: vec![] })),
        ];
        let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 2, raft_term: 3 };
        let response = txn_response(header, TxnAnswer { succeeded: false, answers });
        let kinds: Vec<_> = response.responses.into_iter().map(|op| op.response.unwrap()).collect();
        assert!(matches!(&kinds[..], [
            Response::ResponseRange(range), Response::ResponsePut(put),
            Response::ResponseDeleteRange(delete), Response::ResponseTxn(txn),
        ] if range.header.unwrap().revision == 1
            && put.header.unwrap() == pb::ResponseHeader { revision: 2, ..Default::default() }
            && delete.deleted == 1
            && txn.succeeded));
    }
}
