//! What readers promise of any bytes whatever. Shared by the fuzz targets and by the test that replays
//! their corpora on stable.

use history::{Format, MutexOp, Opening, Operation, Plain, ReadError, Reader, Reading, Txn, Writer};

/// Holds for bytes that are read as this format; or, without one, as whatever they seem to be.
pub(crate) fn hold(format: Option<Format>, bytes: &[u8]) {
    match format {
        Some(format) => hold_for(format, bytes),
        None => hold_for_any(bytes),
    }
}

fn hold_for_any(bytes: &[u8]) {
    let opening = Opening::read(bytes, None).expect("bytes in memory can be read");
    let (format, first_f) = (opening.format(), opening.first_f().map(str::to_owned));
    let Some(format) = format else { return };
    let ahead: Vec<_> = opening.into_reader::<Plain>(format).collect();
    let straight: Vec<_> = Reader::<_, Plain>::of(format, bytes).collect();
    // What was read ahead is not lost.
    assert_eq!(format!("{ahead:?}"), format!("{straight:?}"));
    assert!(first_f.is_none() || !straight.is_empty());
    hold_for(format, bytes);
}

/// Reading them so does not panic, an error has a place in them, and what was read can be written.
fn hold_for(format: Format, bytes: &[u8]) {
    for reading in [Reading::Literal, Reading::Knossos] {
        places_hold::<Plain>(format, reading, bytes);
        places_hold::<MutexOp>(format, reading, bytes);
        places_hold::<Txn>(format, reading, bytes);
        detours_hold(format, reading, bytes);
    }
}

fn places_hold<O: Operation>(format: Format, reading: Reading, bytes: &[u8]) {
    let mut reader = Reader::<_, O>::of(format, bytes).by(reading);
    for line in reader.by_ref() {
        let Err(ReadError { line, column, what }) = line else { continue };
        let text = bytes.split(|&byte| byte == b'\n').zip(1..).find(|(_, number)| *number == line);
        let (text, _) = text.unwrap_or_else(|| panic!("line {line} is not there: {what}"));
        assert!(
            column.is_none_or(|column| column >= 1 && column <= text.len() as u64 + 1),
            "{line}:{column:?} {what}"
        );
        assert!(
            what.to_string().len() < 1_000 + text.len() * 8,
            "an error is not longer than what it is about"
        );
    }
    if let Some(torn) = reader.torn() {
        assert!(torn.bytes <= bytes.len() && torn.line >= 1);
    }
}

/// To our own lines, to EDN, and back: as many lines as there were.
fn detours_hold(format: Format, reading: Reading, bytes: &[u8]) {
    let (mut ours, mut edn) = (Writer::<_, Plain>::new(Vec::new()), Writer::<_, Plain>::edn(Vec::new()));
    let mut lines = 0;
    for line in Reader::<_, Plain>::of(format, bytes).by(reading).map_while(Result::ok) {
        ours.line(line.clone()).expect("readers keep the rules of writers");
        edn.line(line).expect("readers keep the rules of writers");
        lines += 1;
    }
    for (format, written) in [(Format::JsonLines, ours.into_inner()), (Format::JepsenEdn, edn.into_inner())] {
        let read = Reader::<_, Plain>::of(format, written.as_slice()).collect::<Result<Vec<_>, _>>();
        assert_eq!(read.map(|read| read.len()).map_err(|error| error.to_string()), Ok(lines));
    }
}
