//! Where a history comes from: a file or standard input, in whatever format, asking whatever it asks.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use history::{Format, History, Opening, Operation};

use crate::args::{FormatArg, Model};
use crate::exit::Refusal;

/// A history that was opened, and looked at far enough to know how to read it.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    opening: Opening<Box<dyn BufRead>>,
    /// How it is written.
    pub(crate) format: Format,
}

impl Source {
    /// Opens a file, or standard input if it is called `-`.
    pub(crate) fn open(path: &Path, format: FormatArg) -> Result<Source, Refusal> {
        let from: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(path).map_err(|error| refuse(path, error))?))
        };
        let opening = Opening::read(from, format.chosen()).map_err(|error| refuse(path, error))?;
        let format = match (opening.format(), opening.begins()) {
            (Some(format), _) => format,
            // Without a line, it is the empty history in any format.
            (None, None) => Format::JsonLines,
            (None, Some(begins)) => {
                let known = FormatArg::names();
                let why =
                    format_args!("begins with `{begins}`, as no format does that is read here ({known})");
                return Err(refuse(path, why));
            }
        };
        Ok(Source { path: path.to_owned(), opening, format })
    }

    /// The model that knows the first op, if none was chosen. What no model knows, the register refuses
    /// with the line where it stands.
    pub(crate) fn model(&self, chosen: Model) -> Model {
        match (chosen, self.opening.first_f()) {
            (Model::Auto, Some("get" | "put" | "append")) => Model::Kv,
            (Model::Auto, _) => Model::CasRegister,
            (chosen, _) => chosen,
        }
    }

    /// Reads all of it as a history of such ops.
    pub(crate) fn read<O: Operation>(self, model: Model) -> Result<History<O, O::Ret>, Refusal> {
        let Source { path, opening, format } = self;
        let history = opening.into_reader(format).read_all();
        history.map_err(|error| {
            let model = model.name();
            refuse(&path, format_args!("as {format} for the model {model}: {error}"))
        })
    }
}

fn refuse(path: &Path, why: impl Display) -> Refusal {
    Refusal::wrong(format_args!("{}: {why}", path.display()))
}
