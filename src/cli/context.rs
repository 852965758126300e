//! What every command needs: the configuration, the store, the time, the printer; and how it ends.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{self, Config, Loaded, Needs};
use crate::destination::Settings;
use crate::model::{Clock, DestinationName, Timestamp};
use crate::store::{OpenError, Store, StoreError};

use super::output::Printer;

/// The status of the process where the command line or the configuration is wrong.
pub(super) const WRONG: u8 = 2;

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// All of it is done.
    Done,
    /// Part of it is not, or a check found something; the reasons are printed already.
    Found,
}

impl Exit {
    /// The status of the process.
    pub(super) const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Found => 1,
        }
    }

    /// Done if `good`.
    pub(super) const fn done_if(good: bool) -> Self {
        if good { Self::Done } else { Self::Found }
    }
}

/// Why a command could not do its work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The configuration is wrong; holds the whole report.
    Configuration(String),
    /// It was tried, and failed.
    Failed(String),
}

impl Failure {
    /// A failure of what was being done, and why.
    pub(super) fn of(doing: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{doing}: {error}"))
    }

    /// The status of the process.
    pub(super) const fn status(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) | Self::Configuration(_) => WRONG,
        }
    }

    /// What stderr says.
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

/// What every command needs.
pub(super) struct Context {
    file: PathBuf,
    environment: Arc<BTreeMap<String, String>>,
    clock: Arc<dyn Clock>,
    /// Where results and complaints go.
    pub(super) out: Printer,
}

impl Context {
    /// Reads nothing yet.
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

    /// The same for another configuration under another environment.
    pub(super) fn of(self, file: PathBuf, environment: BTreeMap<String, String>) -> Self {
        Self::new(file, environment, self.clock, self.out)
    }

    /// The configuration's file, as it was typed.
    pub(super) fn file(&self) -> String {
        self.file.display().to_string()
    }

    /// Loads and checks the configuration.
    pub(super) fn load(&self) -> Loaded {
        config::load(&self.file, &self.environment)
    }

    /// Loads and checks the configuration, and its `[[tests]]`.
    pub(super) fn load_with_tests(&self) -> Loaded {
        config::load_with_tests(&self.file, &self.environment)
    }

    /// Where a relay with this configuration listens, if that can be told.
    pub(super) fn listen(&self) -> Option<SocketAddr> {
        config::listen(&self.file, &self.environment)
    }

    /// The environment variables.
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Loads it again whenever it is called.
    pub(super) fn loader(&self) -> Box<dyn Fn() -> Loaded + Send + Sync> {
        let (file, environment) = (self.file.clone(), Arc::clone(&self.environment));
        Box::new(move || config::load(&file, &environment))
    }

    /// The configuration, if it has no errors. Warnings are left to `check` and `serve`.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        self.config_for(Needs::All)
    }

    /// The same for a command that does not need all of it.
    pub(super) fn config_for(&self, needs: Needs) -> Result<Config, Failure> {
        let mut loaded = config::load_for(needs, &self.file, &self.environment);
        let config = loaded.config.take();
        config.ok_or_else(|| Failure::Configuration(loaded.report()))
    }

    /// The store, beside a relay that may be running.
    pub(super) fn store(&self, config: &Config) -> Result<Store, Failure> {
        Ok(Store::open_beside(&config.store, Arc::clone(&self.clock))?)
    }

    /// Where the time comes from.
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The time now.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Says what is left to say, and gives the status of the process.
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

/// The settings of a destination that was named on the command line.
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

/// Names in a row, for the end of a sentence.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<_> = names.collect();
    if all.is_empty() {
        return "none".into();
    }
    all.join(", ")
}

/// Runs `work` to its end on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of("cannot start", error))?
        .block_on(work)
}
