//! `harness convert`: writes a history in another format.
//!
//! What an op means does not matter here: whatever is asked and answered goes over as it is. Whether the
//! lines together are a history does: one that breaks the rules is refused in any format.

use std::io::{self, BufWriter, Write};

use history::{History, Pairing, Plain, Reader, WriteError, Writer, write_porcupine};

use crate::args::{ConvertArgs, Target};
use crate::exit::{Exit, Refusal};
use crate::source::{self, Source};

/// Writes the history to standard output.
pub(crate) fn convert(args: &ConvertArgs) -> Result<Exit, Refusal> {
    let source = Source::open(&args.file, args.format, args.reading)?;
    let (path, format) = (source.path.clone(), source.format);
    let mut reader: Reader<_, Plain> = source.reader();
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match args.to {
        Target::Jsonl => copy(&mut reader, Writer::new(Late(&mut out))),
        Target::Edn => copy(&mut reader, Writer::edn(Late(&mut out))),
        Target::PorcupineJson => operations(&mut reader, &mut out),
    };
    let written = written.and_then(|()| out.flush().map_err(Stopped::Out));
    match written {
        Err(Stopped::Read(error)) => Err(source::unreadable(&path, format, &error)),
        // A reader that went away early (`| head`) is no failure.
        Err(Stopped::Out(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Refusal::broken(format_args!("standard output: {error}")))
        }
        _ => {
            if let Some(torn) = reader.torn() {
                // If nobody listens there, the lines that were written are what there is.
                let _ = writeln!(
                    io::stderr(),
                    "harness: {}: line {} is torn and left out ({} bytes)",
                    path.display(),
                    torn.line,
                    torn.bytes
                );
            }
            Ok(Exit::Valid)
        }
    }
}

/// Why a history did not come over.
enum Stopped {
    Read(history::ReadError),
    Out(io::Error),
}

fn copy<W: Write>(
    reader: &mut Reader<impl io::BufRead, Plain>,
    mut writer: Writer<W, Plain>,
) -> Result<(), Stopped> {
    for line in reader {
        writer.line(line.map_err(Stopped::Read)?).map_err(|error| match error {
            WriteError::Io(error) => Stopped::Out(error),
            other => Stopped::Out(io::Error::other(other)),
        })?;
    }
    Ok(())
}

fn operations(reader: &mut Reader<impl io::BufRead, Plain>, out: &mut impl Write) -> Result<(), Stopped> {
    let mut pairing = Pairing::default();
    for line in reader {
        pairing.push(line.map_err(Stopped::Read)?);
    }
    let history: History<Plain, _> = pairing.finish();
    write_porcupine(out, &history).map_err(Stopped::Out)
}

/// A writer flushes each line, for the sake of runs that may be killed. Here there is nothing to lose.
struct Late<W>(W);

impl<W: Write> Write for Late<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
