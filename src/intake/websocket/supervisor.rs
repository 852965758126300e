//! Keeps one app connected, for ever: no failure ends it, and every step has a deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::pause::{End, Pauses};
use super::session::{Link, Session};
use crate::feishu::frame::Ack;
use crate::feishu::{App, Envelope, FeishuClient, LinkSettings};
use crate::intake::Intake;
use crate::model::{Notice, NoticeKind};
use crate::operator::Operator;
use crate::store::StoreError;
use crate::telemetry::events::{ConnectionEnded, ConnectionLeft, ConnectionOpened, RequestRefused};

/// How long the journal may take: the acknowledgement must be there within 3 s of the push. Source:
/// doc "Use long connection".
const STORE_WITHIN: Duration = Duration::from_millis(2500);
/// An outage this long is a notice, and again each hour that it lasts.
const OUTAGE: Duration = Duration::from_secs(5 * 60);
/// How often an outage is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often a notice is given.
const TELL_EVERY: Duration = Duration::from_secs(3600);

/// Keeps one app connected.
pub(super) struct Supervisor {
    pub(super) app: App,
    pub(super) client: FeishuClient,
    pub(super) link: Link,
    pub(super) intake: Intake,
    pub(super) operator: Operator,
    /// Cuts a pause short.
    pub(super) wake: Arc<Notify>,
    pub(super) chance: fastrand::Rng,
}

impl Supervisor {
    /// Runs until `ending`, and not before.
    pub(super) async fn run(mut self, ending: CancellationToken) {
        let link = &self.link;
        link.board.down(&link.app, "connecting", link.clock.now());
        let operator = self.operator.clone();
        let alarm = alarm(operator, self.link.app.clone(), self.link.board.clone());
        tokio::select! {
            () = self.keep_connected(&ending) => {}
            () = alarm => {}
        }
        let link = &self.link;
        link.board.forget(&link.app);
        link.metrics.emit(ConnectionLeft { app: &link.app });
    }

    async fn keep_connected(&mut self, ending: &CancellationToken) {
        let mut settings = LinkSettings::default();
        let mut pauses = Pauses::default();
        loop {
            let (end, lasted) = self.connection(&mut settings, ending).await;
            if ending.is_cancelled() {
                return;
            }
            let chance = || self.chance.f64();
            let pause = pauses.after(&end, lasted, &settings, chance);
            self.ended(&end, pause).await;
            tokio::select! {
                () = ending.cancelled() => return,
                () = sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// One connection, from the question where to its end. Tells how long it was open.
    async fn connection(
        &self,
        settings: &mut LinkSettings,
        ending: &CancellationToken,
    ) -> (End, Duration) {
        let opening = async {
            let endpoint = self.client.endpoint(settings).await?;
            let socket = self.client.connect(&endpoint).await?;
            Ok((endpoint, socket))
        };
        let opened = tokio::select! {
            () = ending.cancelled() => return (End::Left, Duration::ZERO),
            opened = opening => opened,
        };
        let (endpoint, socket) = match opened {
            Ok(opened) => opened,
            Err(why) => return (End::Missing(why), Duration::ZERO),
        };
        let (link, began) = (&self.link, Instant::now());
        link.board.up(&link.app, link.clock.now());
        link.metrics.emit(ConnectionOpened {
            app: &link.app,
            device: &endpoint.device,
        });
        let app = Arc::new(self.app.clone());
        let handle = |payload, arrived| {
            let (intake, app) = (self.intake.clone(), Arc::clone(&app));
            async move { take(&intake, &app, payload, arrived).await }
        };
        let session = Session::new(link, socket, endpoint.service, settings, handle);
        (session.run(ending).await, began.elapsed())
    }

    async fn ended(&self, end: &End, retry_in: Duration) {
        let (link, reason) = (&self.link, end.reason());
        link.board.down(&link.app, &reason, link.clock.now());
        link.metrics.emit(ConnectionEnded {
            app: &link.app,
            cause: end.cause(),
            reason: &reason,
            retry_in,
        });
        if end.is_refusal() {
            let notice = Notice {
                kind: NoticeKind::ConnectionRefused,
                subject: link.app.to_string(),
                text: format!(
                    "No events of app {} come in. {reason}. It is tried again every few minutes, and at a reload.",
                    link.app
                ),
            };
            self.operator.tell(notice).await;
        }
    }
}

/// Takes the payload of an event in. It may be committed after all when this says that it failed: then
/// the next push is a repeat.
async fn take(intake: &Intake, app: &App, payload: bytes::Bytes, arrived: Instant) -> Ack {
    let take = intake.take(app, Envelope::of_connection(&payload), arrived);
    let taken = timeout(STORE_WITHIN, take).await;
    let taken = taken.unwrap_or_else(|_elapsed| Err(StoreError::Busy));
    taken.map_or_else(
        |error| {
            let reason = match error {
                StoreError::Busy => "busy",
                StoreError::Unavailable(_) => "unavailable",
            };
            intake.metrics.emit(RequestRefused {
                app: app.name.as_str(),
                reason,
                hint: Some(&error.to_string()),
            });
            Ack::Failed
        },
        Ack::Taken,
    )
}

/// Tells the operator of an outage that lasts.
async fn alarm(operator: Operator, app: crate::model::AppName, board: super::Board) {
    let mut down_since: Option<Instant> = None;
    let mut told_at: Option<Instant> = None;
    loop {
        sleep(LOOK_EVERY).await;
        let standing = board.standings().remove(&app);
        let Some(reason) = standing.and_then(|standing| standing.down) else {
            (down_since, told_at) = (None, None);
            continue;
        };
        // By the monotonic clock: a wall clock that jumps makes no outage.
        let lasts = down_since.get_or_insert_with(Instant::now).elapsed() + LOOK_EVERY;
        if lasts < OUTAGE || told_at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            continue;
        }
        told_at = Some(Instant::now());
        let minutes = lasts.as_secs() / 60;
        let notice = Notice {
            kind: NoticeKind::ConnectionDown,
            subject: app.to_string(),
            text: format!(
                "No events of app {app} come in: it has had no long connection for {minutes} minutes. {reason}."
            ),
        };
        operator.tell(notice).await;
    }
}
