//! The processes that run the cases: a driver that crashes or hangs takes a case with it and not the command.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use omma::{Error, Result};
use serde_json::{Value, json};

use super::case::{self, Context};
use super::verdict::Verdict;

/// How long a device may take to be opened.
const START: Duration = Duration::from_secs(120);
/// How long a worker that has nothing more to do may take to end.
const END: Duration = Duration::from_secs(10);

/// Another process of this program, with the same arguments and this one behind them.
pub(super) const FLAG: &str = "--worker";

/// A process that runs cases.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Worker {
    /// Starts a process and waits until it has a device.
    ///
    /// # Errors
    /// When it cannot be started, or says that it has no device.
    pub(super) fn start() -> Result<Self> {
        let failed = |what: &str| Error::NoAdapter(what.into());
        let program = std::env::current_exe().map_err(Error::io("the program itself"))?;
        let mut child = Command::new(&program)
            .args(std::env::args_os().skip(1))
            .arg(FLAG)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::io(program))?;
        let (sender, lines) = channel();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = stdout.ok_or_else(|| failed("a worker without an output"))?;
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // A driver may write lines of its own.
            let values = lines.filter_map(|line| serde_json::from_str(&line).ok());
            values.into_iter().try_for_each(|value: Value| sender.send(value))
        });
        let mut worker = Self { child, stdin, lines };
        let line = worker.line(START, |line| line["ready"].is_boolean() || line["error"].is_string());
        match line.map(|line| line["error"].as_str().map(String::from)) {
            Ok(None) => Ok(worker),
            Ok(Some(error)) => Err(failed(&error)),
            Err(reason) => Err(failed(&format!("a worker did not start: {reason}"))),
        }
    }

    /// Has the case of this name run; `Err` with what became of the process where it has none any more.
    pub(super) fn run(&mut self, case: &str, limit: Duration) -> Result<Verdict, String> {
        let stdin =
            self.stdin.as_mut().map(|stdin| writeln!(stdin, "{}", Value::from(case)).and_then(|()| stdin.flush()));
        match stdin {
            Some(Ok(())) => {
                let line = self.line(limit, |line| Verdict::from_json(line).is_some())?;
                Verdict::from_json(&line).ok_or_else(|| "no verdict".into())
            }
            _ => Err(self.end()),
        }
    }

    /// The next line that is wanted.
    fn line(&mut self, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    return Err(format!("it took longer than {} s", limit.as_secs_f32()));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.end()),
            }
        }
    }

    /// How the process has ended; it has closed its output.
    fn end(&mut self) -> String {
        match self.wait(END) {
            Some(status) => format!("its process ended with {}", described(status)),
            None => "its process does not answer any more".into(),
        }
    }

    /// Waits for its end so long.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }
}

impl Drop for Worker {
    /// It ends when there is no further case; one that does not is killed.
    fn drop(&mut self) {
        self.stdin = None;
        if self.wait(END).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A status with the name of the signal where there was one.
fn described(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        let names = [(4, "SIGILL"), (6, "SIGABRT"), (7, "SIGBUS"), (8, "SIGFPE"), (9, "SIGKILL"), (11, "SIGSEGV")];
        if let Some(signal) = status.signal() {
            let name = names.iter().find(|(number, _)| *number == signal).map_or("", |(_, name)| name);
            return format!("signal {signal} {name}").trim_end().into();
        }
    }
    status.to_string()
}

/// What a worker does: opens a device and runs the cases whose names it reads.
///
/// # Errors
/// When the output cannot be written: then nobody wants to know.
pub(super) fn work<'a>(folder: &Path, context: impl FnOnce() -> Result<Context<'a>>) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let mut say =
        |line: Value| writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(Error::io("standard output"));
    let context = match context() {
        Ok(context) => context,
        Err(error) => return say(json!({ "error": error.to_string() })),
    };
    say(json!({ "ready": true }))?;
    // Where the command has gone, nobody waits for the case that runs, and there will be no other.
    let (sender, names) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let name =
                line.and_then(|line| serde_json::from_str::<String>(&line).map_err(|_| ErrorKind::InvalidData.into()));
            if name.map_or(true, |name| sender.send(name).is_err()) {
                break;
            }
        }
        drop(sender);
        // That case may hang.
        std::thread::sleep(END);
        std::process::exit(1);
    });
    for name in names {
        say(case::run(&context, &folder.join(name)).to_json())?;
    }
    Ok(())
}
