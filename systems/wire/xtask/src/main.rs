//! Writes `systems/wire/src/generated` from `systems/wire/proto`, or checks that it is up to date.
//!
//! A workspace of its own: what compiles .proto files (a parser, a code generator, a pretty printer)
//! takes longer to build than all that it generates, and nobody else needs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const SOURCES: [&str; 3] = ["kv.proto", "rpc.proto", "peer.proto"];

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wire = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask stands inside wire")?;
    let target = wire.join("src/generated");
    let fresh = generate(&wire.join("proto"))?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(&target, &fresh).map(|()| ExitCode::SUCCESS),
        ["--check"] => check(&target, &fresh),
        _ => bail!("usage: cargo run --manifest-path systems/wire/xtask/Cargo.toml -- [--check]"),
    }
}

/// What the .proto files say today, by file name.
fn generate(proto: &Path) -> Result<BTreeMap<String, String>> {
    let descriptors = protox::compile(SOURCES, [proto]).context("the .proto files do not compile")?;
    let scratch = tempfile::tempdir()?;
    tonic_prost_build::configure().bytes(".").out_dir(scratch.path()).compile_fds(descriptors)?;
    read(scratch.path())
}

fn read(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        files.insert(name, fs::read_to_string(&path)?);
    }
    Ok(files)
}

fn write(target: &Path, fresh: &BTreeMap<String, String>) -> Result<()> {
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    fs::create_dir_all(target)?;
    for (name, text) in fresh {
        fs::write(target.join(name), text)?;
        println!("wrote {}", target.join(name).display());
    }
    Ok(())
}

/// Names every file that is missing, left over or out of date.
fn check(target: &Path, fresh: &BTreeMap<String, String>) -> Result<ExitCode> {
    let present = read(target)?;
    let differs = |name: &&String| present.get(*name) != fresh.get(*name);
    let names: std::collections::BTreeSet<&String> = present.keys().chain(fresh.keys()).collect();
    let stale: Vec<&&String> = names.iter().filter(|name| differs(name)).collect();
    for name in &stale {
        eprintln!("{} is not what the .proto files say", target.join(name).display());
    }
    if stale.is_empty() {
        println!("the generated code is up to date");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("run: cargo run --manifest-path systems/wire/xtask/Cargo.toml");
    Ok(ExitCode::FAILURE)
}
