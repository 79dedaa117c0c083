//! The optional name of a request, which makes a retry safe.
//!
//! etcd's API has no such thing: who tries again after a time-out may write twice. A client that
//! wants more sends the metadata `request-id: <session>-<number>` with a write, the session being a
//! random number in hexadecimal and the requests counted from 1, which opens the session. A retry
//! under the same name is answered, and not executed again; see [`replica::sessions`].

use raft::{RequestId, SessionId};
use tonic::metadata::MetadataMap;

use crate::refusal::Rejected;

/// The metadata's key.
pub const KEY: &str = "request-id";

/// The request's name, if it has one.
pub fn read(metadata: &MetadataMap) -> Result<Option<RequestId>, Rejected> {
    let Some(value) = metadata.get(KEY) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_encoded_bytes());
    parse(&text).map(Some).ok_or_else(|| Rejected::RequestId(text.into_owned()))
}

fn parse(text: &str) -> Option<RequestId> {
    let (session, seq) = text.split_once('-')?;
    let plain = |digits: &str, radix| digits.chars().all(|digit| digit.is_digit(radix));
    // The number readers below would take a sign.
    if !plain(session, 16) || !plain(seq, 10) {
        return None;
    }
    let session = SessionId(u64::from_str_radix(session, 16).ok()?);
    let seq = seq.parse().ok().filter(|seq| *seq >= 1)?;
    Some(RequestId { session, seq })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &'static str) -> Result<Option<RequestId>, Rejected> {
        let mut metadata = MetadataMap::new();
        metadata.insert(KEY, text.parse().unwrap());
        read(&metadata)
    }

    #[test]
    fn a_request_without_a_name_has_none() {
        assert_eq!(read(&MetadataMap::new()), Ok(None));
    }

    #[test]
    fn a_name_is_read_as_it_is_shown() {
        let id = RequestId { session: SessionId(0x5f), seq: 12 };
        assert_eq!(of("5f-12"), Ok(Some(id)));
        assert_eq!(id.to_string(), "5f-12");
        let greatest = RequestId { session: SessionId(u64::MAX), seq: u64::MAX };
        assert_eq!(of("ffffffffffffffff-18446744073709551615"), Ok(Some(greatest)));
    }

    #[test]
    fn anything_else_is_refused_rather_than_executed_unprotected() {
        let wrong = [
            "",
            "5f",
            "5f-",
            "-1",
            "5f-0",
            "+5f-1",
            "5f-+1",
            "5g-1",
            "5f-1-1",
            "10000000000000000-1",
            " 5f-1",
        ];
        for text in wrong {
            assert_eq!(of(text), Err(Rejected::RequestId(text.to_owned())));
        }
    }
}
