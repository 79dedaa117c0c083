//! The real disk.

mod common;

use std::io::ErrorKind;
use std::sync::mpsc::channel;

use bytes::Bytes;
use common::{group, identity, names, options};
use wal::{Completion, Disk, FolderDisk, FolderError, Wal};

#[test]
fn a_second_start_on_one_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = FolderDisk::open(folder.path(), |_, _| {}).unwrap();
    let second = FolderDisk::open(folder.path(), |_, _| {}).err().unwrap();
    assert!(matches!(second, FolderError::InUse(_)), "{second}");
    assert!(second.to_string().contains(folder.path().to_str().unwrap()));
    drop(first);
    FolderDisk::open(folder.path(), |_, _| {}).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"not a folder").unwrap();
    let error = FolderDisk::open(&file, |_, _| {}).err().unwrap();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn reports_drive_the_log_and_a_restart_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let (report, reports) = channel();
    let disk = FolderDisk::open(folder.path(), move |ticket, result| {
        // The receiver is gone when the test is over.
        let _ = report.send((ticket, result));
    })
    .unwrap();
    let (mut wal, recovered) = Wal::open(disk, &identity(), options()).unwrap();
    assert!(recovered.entries.is_empty());
    for term in 1..20 {
        let number = wal.append(group(wal.last(), term, &[90, 10])).unwrap();
        let durable = reports.iter().find_map(|(ticket, result)| wal.completed(ticket, result));
        assert_eq!(durable, Some(Completion::Durable(number)));
    }
    wal.close().unwrap();
    let disk = FolderDisk::open(folder.path(), |_, _| {}).unwrap();
    let (wal, recovered) = Wal::open(disk, &identity(), options()).unwrap();
    assert_eq!(recovered.entries.len(), 38, "{}", names(&recovered));
    assert_eq!(recovered.cut, None);
    drop(wal);
}

#[test]
fn after_one_failure_nothing_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = FolderDisk::open(folder.path(), |_, _| {}).unwrap();
    let file = disk.open("data").unwrap();
    let fine = disk.write_at(file, 0, Bytes::from_static(b"one"));
    disk.wait(fine).unwrap();
    let failed = disk.remove("no such file");
    assert_eq!(disk.wait(failed).unwrap_err().kind(), ErrorKind::NotFound);
    let later = disk.write_at(file, 0, Bytes::from_static(b"two"));
    assert_eq!(disk.wait(later).unwrap_err().kind(), ErrorKind::NotFound);
    disk.wait(fine).expect("what was done before the failure stays done");
    assert_eq!(disk.read_at(file, 0, 10).unwrap(), b"one");
}
