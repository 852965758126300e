//! The fake Feishu, beside tests that wait for other processes.

use std::ops::Deref;

use feedback_relay::demo::FakeFeishu;
use feedback_relay::demo::feishu::FakeApp;
use tokio::runtime::{Builder, Runtime};

/// The fake with the app of [`super::Relay::config`].
pub struct Feishu {
    fake: FakeFeishu,
    // Dropped last because the fake runs on it.
    _runtime: Runtime,
}

impl Feishu {
    /// Starts a fake that knows the app, and whose bot is in these chats.
    pub fn with_chats(chats: &[&str]) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let app = FakeApp {
            app_id: "cli_9f5343c580712544".into(),
            app_secret: "app-secret".into(),
        };
        let fake = runtime
            .block_on(FakeFeishu::start(vec![app]))
            .expect("a free port");
        for chat in chats {
            fake.open_chat(chat);
        }
        Self {
            fake,
            _runtime: runtime,
        }
    }

    /// Returns the keys of the app's section that point to the fake.
    pub fn app_keys(&self) -> String {
        format!(
            "app_secret = \"app-secret\"\nbase_url = \"{}\"\n",
            self.url()
        )
    }
}

impl Deref for Feishu {
    type Target = FakeFeishu;

    fn deref(&self) -> &FakeFeishu {
        &self.fake
    }
}
