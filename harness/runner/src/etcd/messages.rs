//! What a workload asks of a store, as messages of the etcd v3 API, and what comes back.
//!
//! Whatever an answer lacks, it lacks: a message without a header is of revision 0, which no store ever had. An
//! answer of a kind that nobody asked for is [`Nonsense`].

use bytes::Bytes;
use wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use wire::etcdserverpb::request_op::Request as Ask;
use wire::etcdserverpb::response_op::Response as Said;
use wire::etcdserverpb::{
    Compare, PutRequest, PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader, ResponseOp,
    TxnRequest, TxnResponse,
};
use wire::mvccpb;
use workload::store::{
    Answer, Condition, Expected, KeyValue, Keys, Nonsense, Put, Reply, Revision, Step, Txn, TxnAnswer,
};

pub(super) fn range_request(keys: Keys) -> RangeRequest {
    let (key, range_end) = match keys {
        Keys::One(key) => (key, Bytes::new()),
        Keys::Between(from, to) => (from, to),
    };
    RangeRequest { key, range_end, ..RangeRequest::default() }
}

pub(super) fn put_request(Put { key, value }: Put) -> PutRequest {
    PutRequest { key, value, ..PutRequest::default() }
}

pub(super) fn txn_request(Txn { conditions, steps }: Txn) -> TxnRequest {
    let step = |step| match step {
        Step::Range(keys) => Ask::RequestRange(range_request(keys)),
        Step::Put(put) => Ask::RequestPut(put_request(put)),
    };
    TxnRequest {
        compare: conditions.into_iter().map(compare).collect(),
        success: steps.into_iter().map(|asked| RequestOp { request: Some(step(asked)) }).collect(),
        failure: Vec::new(),
    }
}

fn compare(Condition { key, expected }: Condition) -> Compare {
    let (target, operand) = match expected {
        Expected::Value(value) => (CompareTarget::Value, TargetUnion::Value(value)),
        Expected::Modified(Revision(revision)) => (CompareTarget::Mod, TargetUnion::ModRevision(revision)),
    };
    Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key,
        target_union: Some(operand),
        ..Compare::default()
    }
}

pub(super) fn range_reply(response: RangeResponse) -> Reply {
    Reply { revision: revision(response.header.as_ref()), answer: found(response) }
}

pub(super) fn put_reply(response: &PutResponse) -> Reply {
    Reply { revision: revision(response.header.as_ref()), answer: Answer::Put }
}

pub(super) fn txn_reply(response: TxnResponse) -> Result<Reply, Nonsense> {
    let revision = revision(response.header.as_ref());
    let answers = response.responses.into_iter().map(answer).collect::<Result<_, _>>()?;
    Ok(Reply { revision, answer: Answer::Txn(TxnAnswer { succeeded: response.succeeded, answers }) })
}

fn answer(step: ResponseOp) -> Result<Answer, Nonsense> {
    match step.response {
        Some(Said::ResponseRange(response)) => Ok(found(response)),
        Some(Said::ResponsePut(_)) => Ok(Answer::Put),
        other => Err(Nonsense(format!("an answer to a step that nobody asked for: {other:?}"))),
    }
}

fn found(response: RangeResponse) -> Answer {
    Answer::Range(response.kvs.into_iter().map(key_value).collect())
}

fn key_value(found: mvccpb::KeyValue) -> KeyValue {
    let mvccpb::KeyValue { key, value, mod_revision, version, .. } = found;
    KeyValue { key, value, modified: Revision(mod_revision), version }
}

fn revision(header: Option<&ResponseHeader>) -> Revision {
    Revision(header.map_or(0, |header| header.revision))
}

#[cfg(test)]
mod tests {
    use wire::etcdserverpb::DeleteRangeResponse;

    use super::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_run_of_keys_has_an_end_and_one_key_has_none() {
        let one = range_request(Keys::One(bytes("k1")));
        assert_eq!((one.key, one.range_end), (bytes("k1"), Bytes::new()));
        let some = range_request(Keys::Between(bytes("k1/"), bytes("k10")));
        assert_eq!((some.key, some.range_end, some.serializable), (bytes("k1/"), bytes("k10"), false));
    }

    #[test]
    fn conditions_are_on_equal_values_and_on_equal_revisions_and_steps_keep_their_order() {
        let condition = |expected| Condition { key: bytes("k1"), expected };
        let expected = [Expected::Value(bytes("3")), Expected::Modified(Revision(7))];
        let steps =
            vec![Step::Put(Put { key: bytes("k1"), value: bytes("4") }), Step::Range(Keys::One(bytes("k2")))];
        let sent = txn_request(Txn { conditions: expected.map(condition).into(), steps });
        let operands = [TargetUnion::Value(bytes("3")), TargetUnion::ModRevision(7)];
        let targets = [CompareTarget::Value, CompareTarget::Mod];
        for ((compare, operand), target) in sent.compare.into_iter().zip(operands).zip(targets) {
            assert_eq!((compare.target(), compare.result()), (target, CompareResult::Equal));
            assert_eq!((compare.key, compare.target_union), (bytes("k1"), Some(operand)));
        }
        let [put, look] = sent.success.try_into().unwrap();
        let put_sent = PutRequest { key: bytes("k1"), value: bytes("4"), ..PutRequest::default() };
        assert_eq!(put.request, Some(Ask::RequestPut(put_sent)));
        let look_sent = RangeRequest { key: bytes("k2"), ..RangeRequest::default() };
        assert_eq!(look.request, Some(Ask::RequestRange(look_sent)));
        assert!(sent.failure.is_empty());
    }

    #[test]
    fn what_was_found_keeps_its_revision_and_version_and_what_nobody_asked_for_is_nonsense() {
        let header = Some(ResponseHeader { revision: 9, ..ResponseHeader::default() });
        let kvs = vec![mvccpb::KeyValue {
            key: bytes("k1/3"),
            value: bytes("4"),
            create_revision: 2,
            mod_revision: 7,
            version: 5,
            lease: 0,
        }];
        let found = RangeResponse { kvs, ..RangeResponse::default() };
        let txn = |response| TxnResponse {
            header,
            succeeded: true,
            responses: vec![ResponseOp { response: Some(response) }],
        };
        let kv = KeyValue { key: bytes("k1/3"), value: bytes("4"), modified: Revision(7), version: 5 };
        let answers = vec![Answer::Range(vec![kv])];
        let answer = Answer::Txn(TxnAnswer { succeeded: true, answers });
        assert_eq!(txn_reply(txn(Said::ResponseRange(found))), Ok(Reply { revision: Revision(9), answer }));
        let strange = txn(Said::ResponseDeleteRange(DeleteRangeResponse::default()));
        assert!(txn_reply(strange).is_err());
        assert_eq!(put_reply(&PutResponse::default()).revision, Revision(0));
    }
}
