//! Provides what every command needs: configuration, store, clock, printer and exit status.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::admin;
use crate::config::{self, Config, Loaded, Needs};
use crate::destination::Settings;
use crate::model::{Clock, DestinationName, Timestamp};
use crate::store::{OpenError, Store, StoreError};

use super::output::Printer;

/// The exit status for a wrong command line or configuration.
pub(super) const WRONG: u8 = 2;

/// The result of a command that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Everything is done.
    Done,
    /// A part is not done, or a check found something. The reasons are already printed.
    Found,
}

impl Exit {
    /// Returns the exit status.
    pub(super) const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Found => 1,
        }
    }

    /// Returns `Done` if `good`, otherwise `Found`.
    pub(super) const fn done_if(good: bool) -> Self {
        if good { Self::Done } else { Self::Found }
    }
}

/// Why a command could not do its work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The configuration is wrong; holds the formatted diagnostics.
    Configuration(String),
    /// The work failed.
    Failed(String),
}

impl Failure {
    /// Returns a failure: `doing` describes the operation, `error` the cause.
    pub(super) fn of(doing: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{doing}: {error}"))
    }

    /// Returns the exit status.
    pub(super) const fn status(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) | Self::Configuration(_) => WRONG,
        }
    }

    /// Returns the message for stderr.
    fn message(&self) -> String {
        match self {
            Self::Usage(reason) | Self::Failed(reason) => format!("error: {reason}"),
            Self::Configuration(report) => report.trim_end().to_owned(),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<admin::Error> for Failure {
    fn from(error: admin::Error) -> Self {
        match error {
            admin::Error::Conditions(mistakes) => Self::Usage(mistakes.join("\n       ")),
            admin::Error::NoEvent(_)
            | admin::Error::NoIncident(_)
            | admin::Error::NoSilence(_)
            | admin::Error::Store(_) => Self::Failed(error.to_string()),
        }
    }
}

/// The environment of a command.
pub(super) struct Context {
    file: PathBuf,
    environment: Arc<BTreeMap<String, String>>,
    clock: Arc<dyn Clock>,
    /// The printer for results and messages.
    pub(super) out: Printer,
}

impl Context {
    /// Creates a context. Reads nothing yet.
    pub(super) fn new(
        file: PathBuf,
        environment: BTreeMap<String, String>,
        clock: Arc<dyn Clock>,
        out: Printer,
    ) -> Self {
        Self {
            file,
            environment: Arc::new(environment),
            clock,
            out,
        }
    }

    /// Returns the path of the configuration file, as it was typed.
    pub(super) fn file(&self) -> String {
        self.file.display().to_string()
    }

    /// Loads and checks the configuration, without its `[[tests]]`.
    pub(super) fn load(&self) -> Loaded {
        config::load(&self.file, &self.environment)
    }

    /// Loads and checks the configuration, including its `[[tests]]`.
    pub(super) fn load_with_tests(&self) -> Loaded {
        config::load_with_tests(&self.file, &self.environment)
    }

    /// Returns where a relay with this configuration listens; `None` if it is unknown.
    pub(super) fn listen(&self) -> Option<SocketAddr> {
        config::listen(&self.file, &self.environment)
    }

    /// Returns the environment variables.
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Returns a function that loads the configuration again.
    pub(super) fn loader(&self) -> Box<dyn Fn() -> Loaded + Send + Sync> {
        let (file, environment) = (self.file.clone(), Arc::clone(&self.environment));
        Box::new(move || config::load(&file, &environment))
    }

    /// Returns the configuration if it has no errors. Only `check` and `serve` show warnings.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        self.config_for(Needs::All)
    }

    /// Returns the configuration for a command that needs only part of it.
    pub(super) fn config_for(&self, needs: Needs) -> Result<Config, Failure> {
        let mut loaded = config::load_for(needs, &self.file, &self.environment);
        let config = loaded.config.take();
        config.ok_or_else(|| Failure::Configuration(loaded.report()))
    }

    /// Opens the store; a running relay may have it open too.
    pub(super) fn store(&self, config: &Config) -> Result<Store, Failure> {
        Ok(Store::open_for_command(
            &config.store,
            Arc::clone(&self.clock),
        )?)
    }

    /// Returns the clock.
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Returns the current time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Prints the failure, if any, and returns the exit status.
    pub(super) fn end(mut self, result: Result<Exit, Failure>) -> u8 {
        let status = match result {
            Ok(exit) => exit.status(),
            Err(failure) => {
                self.out.notes(&failure.message());
                failure.status()
            }
        };
        self.out.finish(status)
    }
}

/// Returns the settings of a destination that was named on the command line.
pub(super) fn destination<'a>(
    config: &'a Config,
    name: &DestinationName,
) -> Result<&'a Settings, Failure> {
    let known = || names(config.destinations.keys().map(DestinationName::as_str));
    config.destinations.get(name).ok_or_else(|| {
        let name = name.as_str();
        Failure::Usage(format!(
            "there is no destination {name:?}; there are: {}",
            known()
        ))
    })
}

/// Joins names for the end of a sentence.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<_> = names.collect();
    if all.is_empty() {
        return "none".into();
    }
    all.join(", ")
}

/// Runs `work` to completion on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of("cannot start", error))?
        .block_on(work)
}
