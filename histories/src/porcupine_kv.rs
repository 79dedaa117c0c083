//! Lines of the key-value histories that come with Porcupine.
//!
//! ```text
//! {:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}
//! {:process 1, :type :invoke, :f :get, :key "0", :value nil}
//! {:process 9, :type :ok, :f :append, :key "0", :value "x 9 0 y"}
//! {:process 1, :type :ok, :f :get, :key "0", :value "x 9 0 y"}
//! ```
//!
//! One EDN map a line: `get`, `put` and `append` on strings, key by key; a key that is not there reads as
//! the empty string. There are no times; the order of the lines is the order in which they were seen.
//!
//! Where the format leaves a choice, this is how it is read: fields that are not ours are skipped, as in
//! our own lines, but none may stand twice. The collection knows only ops that were answered; `:fail` and
//! `:info` mean what they mean everywhere, and say why in `:error`.

use crate::edn::Edn;
use crate::edn_fields::Fields;
use crate::foreign::{Found, NotALine, who};
use crate::json::Type;
use crate::names::Key;

/// Whether this is the first map of such a file: an op on texts, without a time.
pub(crate) fn is_one(map: &Edn) -> bool {
    let Edn::Map(pairs) = map else { return false };
    let said =
        |field: &str| pairs.iter().find(|(name, _)| name.keyword() == Some(field)).map(|(_, value)| value);
    let f = said("f").and_then(Edn::keyword);
    f.is_some_and(|f| ["get", "put", "append"].contains(&f))
        && matches!(said("key"), Some(Edn::Text(_)))
        && said("time").is_none()
}

pub(crate) fn read(line: &str) -> Result<Found, NotALine> {
    let all = Edn::read_all(line).map_err(|error| error.why)?;
    let Ok([Edn::Map(pairs)]) = <[Edn; 1]>::try_from(all) else {
        return Err(NotALine::NoMap);
    };
    let mut fields = Fields(pairs);
    let process = who(&fields.need("process")?)?;
    let kind = Type::from_edn(&fields.need("type")?)?;
    let f = fields.need("f")?;
    let f = f.keyword().ok_or_else(|| NotALine::wrong("f", "a keyword", &f))?.to_owned();
    let value = fields.take("value")?.unwrap_or(Edn::Nil);
    let Some(process) = process else {
        return Ok(Found::of_nemesis(kind, f, value.into_json()));
    };
    let key = match fields.need("key")? {
        Edn::Text(name) => Some(Key::new(name)),
        other => return Err(NotALine::wrong("key", "a text", &other)),
    };
    let error = fields.error()?;
    Ok(Found { key, value: value.into_json(), error, ..Found::of_client(process, kind, f) })
}
