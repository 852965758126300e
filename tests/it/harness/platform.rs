//! The fake Feishu in the tests' own process.

use std::ops::Deref;

use feedback_relay::demo::FakeFeishu;
use feedback_relay::demo::feishu::FakeApp;
use serde_json::Value;

use super::relay::wait_until;
use super::sealed::Feedback;

/// The id of the tests' app.
pub const APP_ID: &str = "cli_9f5343c580712544";
/// The secret of the tests' app.
pub const APP_SECRET: &str = "app-secret-of-shop";

/// A fake that runs beside the test.
pub struct Platform {
    feishu: FakeFeishu,
    _runtime: tokio::runtime::Runtime,
}

impl Deref for Platform {
    type Target = FakeFeishu;

    fn deref(&self) -> &FakeFeishu {
        &self.feishu
    }
}

impl Platform {
    pub fn started() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let app = FakeApp {
            app_id: APP_ID.into(),
            app_secret: APP_SECRET.into(),
        };
        let feishu = runtime.block_on(FakeFeishu::start(vec![app]));
        Self {
            feishu: feishu.expect("a free port"),
            _runtime: runtime,
        }
    }

    /// Returns the start of a configuration with one app that connects to the fake.
    pub fn config(&self, rest: &str) -> String {
        format!(
            "server.listen = \"127.0.0.1:0\"\n\
             images.wait = \"0s\"\n\
             [apps.shop]\n\
             app_id = \"{APP_ID}\"\n\
             receive = \"websocket\"\n\
             app_secret = \"{APP_SECRET}\"\n\
             base_url = \"{}\"\n\
             {rest}",
            self.url()
        )
    }

    /// Pushes an event as the platform does: neither encrypted nor with a token.
    pub fn push_event(&self, feedback: &Feedback) {
        let plain = feedback.clone().with_header("token", "".into());
        self.push(APP_ID, &plain.envelope);
    }

    pub fn wait_for_connection(&self) {
        wait_until("a long connection", || self.connections() > 0);
    }

    /// Returns the ids of the events acknowledged with this code.
    pub fn acknowledged(&self, code: u64) -> Vec<String> {
        let pushed = self.pushed().into_iter();
        let acked = pushed.filter(|one| one.acks.iter().any(|ack| ack.code == code));
        acked.map(|one| event_id(&one.payload)).collect()
    }

    pub fn wait_until_acknowledged(&self, count: usize) {
        wait_until(&format!("{count} acknowledgements"), || {
            self.acknowledged(200).len() >= count
        });
    }
}

fn event_id(payload: &Value) -> String {
    payload["header"]["event_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
