//! Processes that do not outlive the harness.
//!
//! A run that is interrupted must leave nothing behind: a forgotten node keeps its port, burns a
//! core and spoils the next run. Destructors are not enough, since SIGKILL runs none. So the kernel
//! is asked to kill each node when its parent dies (`PR_SET_PDEATHSIG`). Three traps:
//!
//! * *Parent* means the **thread** that forked, not the process. A pool that retires an idle thread
//!   would kill a healthy cluster. All spawning is therefore done by one thread of the [`Supervisor`],
//!   which lives as long as anything that it has spawned.
//! * The parent may die between `fork` and the request. The child looks, after asking, whether it
//!   still has the same parent.
//! * Each node leads a process group of its own. Ctrl-C in a terminal thus reaches the harness alone,
//!   which then ends the run in order; and a signal to a node reaches all that it has started.
//!
//! A node that is paused can be killed all the same: SIGKILL, and the death of the parent, end a
//! process that stands still. SIGTERM does not, so whoever is asked to stop is also told to go on.
//!
//! Left out: processes that a *node* starts and that leave its group survive a SIGKILL of the harness.
//! Ours start none; a pid namespace would catch them, and comes with the namespace network. And a node
//! that is paused in the very moment in which it starts a process may wait, uninterruptibly, for that
//! one, which stands still as well. It is then not seen to stop, and the pause is an error.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpid, getppid};

/// How often to look whether a process that was asked to stop has done so.
const GLANCE: Duration = Duration::from_millis(5);

/// How long a process may take to stand still. A thread that waits for a disk finishes that first.
const STANDSTILL: Duration = Duration::from_secs(10);

/// How to start a program.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The file to execute.
    pub program: PathBuf,
    /// The name that it sees itself called by, if not its file's.
    pub name: Option<OsString>,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What is added to the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Where its standard output is appended.
    pub stdout: PathBuf,
    /// Where its standard error is appended.
    pub stderr: PathBuf,
}

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no such file, or it cannot be executed.
    #[error("cannot start {}: {source}", program.display())]
    Program {
        /// Which.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file for its output cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Output {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The spawning thread could not be started, or is gone.
    #[error("the thread that starts processes is gone: {0}")]
    Supervisor(io::Error),
}

type Started = Result<Child, LaunchError>;

/// Work for the spawning thread.
struct Order {
    launch: Launch,
    reply: mpsc::SyncSender<Started>,
}

/// Starts processes, all from one thread. Clones share that thread.
#[derive(Clone, Debug)]
pub struct Supervisor {
    orders: mpsc::SyncSender<Order>,
}

impl Supervisor {
    /// Starts the spawning thread. It ends with the last of its supervisors and processes.
    pub fn start() -> Result<Supervisor, LaunchError> {
        let (orders, inbox) = mpsc::sync_channel::<Order>(0);
        let work = move || {
            for Order { launch, reply } in inbox {
                // Nobody waits any more? Then the child comes back in the error, and must not stay.
                if let Err(mpsc::SendError(Ok(child))) = reply.send(spawn(&launch)) {
                    drop(Process { child, orders: None, ended: None });
                }
            }
        };
        thread::Builder::new().name("supervisor".to_owned()).spawn(work).map_err(LaunchError::Supervisor)?;
        Ok(Supervisor { orders })
    }

    /// Starts a program. It is killed when the returned value is dropped, or this process dies.
    pub fn spawn(&self, launch: Launch) -> Result<Process, LaunchError> {
        let gone = || LaunchError::Supervisor(io::ErrorKind::BrokenPipe.into());
        let (reply, answer) = mpsc::sync_channel(1);
        self.orders.send(Order { launch, reply }).map_err(|_| gone())?;
        let child = answer.recv().map_err(|_| gone())??;
        Ok(Process { child, orders: Some(self.orders.clone()), ended: None })
    }
}

fn spawn(launch: &Launch) -> Started {
    let mut command = Command::new(&launch.program);
    if let Some(name) = &launch.name {
        command.arg0(name);
    }
    command.args(&launch.arguments).envs(launch.environment.iter().map(|(key, value)| (key, value)));
    command.stdin(Stdio::null()).stdout(appending(&launch.stdout)?).stderr(appending(&launch.stderr)?);
    command.process_group(0);
    die_with_parent(&mut command);
    command.spawn().map_err(|source| LaunchError::Program { program: launch.program.clone(), source })
}

fn appending(path: &Path) -> Result<File, LaunchError> {
    let open = File::options().append(true).create(true).open(path);
    open.map_err(|source| LaunchError::Output { path: path.to_owned(), source })
}

/// Has the kernel kill the child when the thread that calls `spawn` ends.
#[expect(unsafe_code, reason = "only code that runs between fork and exec can ask for this")]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let ask = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // A parent that died before the request was made sends no signal any more.
        if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: after fork in a process with threads only async-signal-safe calls are allowed. `ask`
    // makes two plain system calls, prctl and getppid; it takes no lock and allocates nothing (an
    // `io::Error` made of an errno is a number).
    unsafe {
        command.pre_exec(ask);
    }
}

/// A process that was started here. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Keeps the spawning thread alive, and with it this process.
    orders: Option<mpsc::SyncSender<Order>>,
    ended: Option<ExitStatus>,
}

/// How a process ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// What `wait` said.
    pub status: ExitStatus,
    /// Whether it had ended before anyone asked it to.
    pub earlier: bool,
}

impl Ending {
    /// Whether SIGKILL ended it, and not before it was sent.
    pub fn killed(&self) -> bool {
        !self.earlier && self.status.signal() == Some(Signal::SIGKILL as i32)
    }

    /// Whether it ended in its own way when it was asked to.
    pub fn stopped(&self) -> bool {
        !self.earlier && self.status.signal() != Some(Signal::SIGKILL as i32)
    }
}

/// A wait status in words: `signal 9`, `exit 3`.
pub fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => status.to_string(),
    }
}

impl Process {
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Sends SIGKILL and waits for the end. To kill several at one moment, [`Process::strike`] each
    /// of them first.
    pub fn kill(&mut self) -> io::Result<Ending> {
        let earlier = self.strike()?;
        self.wait(earlier)
    }

    /// Sends SIGKILL. Tells whether the process had ended before.
    pub fn strike(&mut self) -> io::Result<bool> {
        let earlier = self.ended()?.is_some();
        if !earlier {
            self.signal(Signal::SIGKILL)?;
        }
        Ok(earlier)
    }

    /// Waits for the end. `earlier` is what [`Process::strike`] told.
    pub fn wait(&mut self, earlier: bool) -> io::Result<Ending> {
        let status = match self.ended {
            Some(status) => status,
            None => self.child.wait()?,
        };
        self.ended = Some(status);
        Ok(Ending { status, earlier })
    }

    /// Asks it to stop with SIGTERM, and kills it when it has not done so in time.
    pub fn stop(&mut self, patience: Duration) -> io::Result<Ending> {
        let earlier = self.ended()?.is_some();
        if earlier {
            return self.wait(earlier);
        }
        self.signal(Signal::SIGTERM)?;
        self.signal(Signal::SIGCONT)?; // one that stands still hears nothing else
        let deadline = Instant::now() + patience;
        while self.ended()?.is_none() {
            if Instant::now() >= deadline {
                return self.kill();
            }
            thread::sleep(GLANCE);
        }
        self.wait(earlier)
    }

    /// Sends SIGSTOP, unless it has ended. To stop several at one moment, do this to each of them
    /// before the first [`Process::await_standstill`].
    pub fn pause(&mut self) -> io::Result<()> {
        if self.ended()?.is_none() { self.signal(Signal::SIGSTOP) } else { Ok(()) }
    }

    /// Waits until the kernel shows every thread of it as stopped, and returns the letter that it
    /// shows. None if it has ended.
    pub fn await_standstill(&mut self) -> io::Result<Option<char>> {
        self.await_states("stopped", |state| state == STOPPED)
    }

    /// The letter that the kernel shows now: [`STOPPED`] only if every thread of it stands still. None if
    /// it has ended.
    pub fn state(&mut self) -> io::Result<Option<char>> {
        if self.ended()?.is_some() {
            return Ok(None);
        }
        let states = states(self.pid())?;
        let awake = states.iter().find(|state| **state != STOPPED && !ENDED.contains(state));
        Ok(awake.or(states.first()).copied())
    }

    /// Sends SIGCONT, and returns the letter that the kernel shows afterwards. None if it has ended.
    pub fn resume(&mut self) -> io::Result<Option<char>> {
        if self.ended()?.is_some() {
            return Ok(None);
        }
        self.signal(Signal::SIGCONT)?;
        self.await_states("running again", |state| state != STOPPED && !ENDED.contains(&state))
    }

    /// Waits until all of its threads are in such a state.
    fn await_states(&mut self, wanted: &str, fits: impl Fn(char) -> bool) -> io::Result<Option<char>> {
        let deadline = Instant::now() + STANDSTILL;
        loop {
            if self.ended()?.is_some() {
                return Ok(None);
            }
            let states = states(self.pid())?;
            if let Some(state) = states.first()
                && states.iter().all(|state| fits(*state))
            {
                return Ok(Some(*state));
            }
            if Instant::now() >= deadline {
                let said = format!("process {} is not {wanted}: its threads are {states:?}", self.pid());
                return Err(io::Error::new(io::ErrorKind::TimedOut, said));
            }
            thread::sleep(GLANCE);
        }
    }

    /// To the whole group. It exists while its leader has not been waited for, so the number is ours.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        let group = i32::try_from(self.pid()).map_err(io::Error::other)?;
        Ok(killpg(Pid::from_raw(group), signal)?)
    }
}

/// The letter by which the kernel says that a signal has stopped a thread.
const STOPPED: char = 'T';
/// Those of a thread that has ended and was not waited for yet.
const ENDED: [char; 2] = ['Z', 'X'];

/// The states of all threads of a process. A thread that ends meanwhile is passed over.
fn states(pid: u32) -> io::Result<Vec<char>> {
    let mut states = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        // The name of the program stands in parentheses before it, and may hold any character.
        states.extend(stat.rsplit(") ").next().and_then(|rest| rest.chars().next()));
    }
    Ok(states)
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(pid = self.pid(), %error, "a process could not be killed");
        }
        drop(self.orders.take()); // only now may the thread end
    }
}
