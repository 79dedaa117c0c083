//! The fields of a line that is written as an EDN map.

use crate::edn::Edn;
use crate::foreign::NotALine;

/// What a map says, field by field. Fields that nobody asks for are skipped; none that is asked for may stand
/// there twice.
pub(crate) struct Fields(pub(crate) Vec<(Edn, Edn)>);

impl Fields {
    /// Takes a field out, if it is there.
    pub(crate) fn take(&mut self, field: &'static str) -> Result<Option<Edn>, NotALine> {
        let mut places = self.0.iter().enumerate().filter(|(_, (name, _))| name.name() == Some(field));
        match (places.next(), places.next()) {
            (Some(_), Some(_)) => Err(NotALine::Twice { field }),
            (None, _) => Ok(None),
            (Some((place, _)), None) => Ok(Some(self.0.swap_remove(place).1)),
        }
    }

    /// Takes a field out that must be there.
    pub(crate) fn need(&mut self, field: &'static str) -> Result<Edn, NotALine> {
        self.take(field)?.ok_or(NotALine::Missing { field })
    }

    /// Why an op ended as it did.
    pub(crate) fn error(&mut self) -> Result<Option<String>, NotALine> {
        let why = self.take("error")?.filter(|why| *why != Edn::Nil);
        Ok(why.map(|why| why.name().map_or_else(|| why.to_string(), str::to_owned)))
    }
}
