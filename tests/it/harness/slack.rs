//! The stand-in for Slack, beside tests that wait for other processes.

use std::ops::Deref;

use feedback_relay::demo::FakeSlack;
use feedback_relay::demo::slack::Workspace;
use tokio::runtime::{Builder, Runtime};

/// The bot's token.
pub const TOKEN: &str = "xoxb-test-token";
/// What clicks are signed with.
pub const SIGNING_SECRET: &str = "test-signing-secret";
/// The channel that the bot is in.
pub const CHANNEL: &str = "C0123ABCD";

/// A stand-in with one channel.
pub struct Slack {
    fake: FakeSlack,
    // Dropped last: the stand-in runs on it.
    _runtime: Runtime,
}

impl Slack {
    /// Whose bot has these scopes.
    pub fn with_scopes(scopes: &[&'static str]) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let workspace = Workspace {
            scopes: scopes.to_vec(),
            ..Workspace::new(TOKEN, SIGNING_SECRET, CHANNEL)
        };
        let fake = runtime.block_on(FakeSlack::start(workspace));
        Self {
            fake: fake.expect("a free port"),
            _runtime: runtime,
        }
    }

    /// Whose bot may do what the relay can use.
    pub fn started() -> Self {
        Self::with_scopes(&["chat:write", "files:write", "files:read"])
    }

    /// `[destinations.product]` that speaks there.
    pub fn destination(&self) -> String {
        format!(
            "[destinations.product]\nkind = \"slack-app\"\ntoken = \"{TOKEN}\"\nsigning_secret = \"{SIGNING_SECRET}\"\n\
             channel = \"{CHANNEL}\"\nbase_url = \"{}\"\nlocale = \"en\"\n",
            self.url()
        )
    }
}

impl Deref for Slack {
    type Target = FakeSlack;

    fn deref(&self) -> &FakeSlack {
        &self.fake
    }
}
