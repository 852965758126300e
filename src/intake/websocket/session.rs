//! One long connection, from its first ping to its end.
//!
//! One task reads and writes, so there is one writer by construction. Each event is handled by a task of its
//! own, at most [`IN_HAND_MAX`] per app; further events wait in the socket. Acknowledgements are sent in the
//! order in which events are stored.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::connection_states::ConnectionStates;
use super::reconnect::DisconnectReason;
use crate::feishu::LinkSettings;
use crate::feishu::frame::{Ack, Frame, FrameReader, Message, Received};
use crate::model::{AppName, Clock};
use crate::net::{Heard, WebSocket};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::events::{
    CardFrameIgnored, FrameAcknowledged, FrameReceived, FrameRefused, PanicCaught,
};

/// The number of events of one app that are handled concurrently.
pub(super) const IN_HAND_MAX: usize = 64;
/// A peer that sends nothing for this long after a ping is gone, whatever TCP reports.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The time limit of sending a frame.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How long a stop waits for events in progress.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// How long a close waits for the peer's close.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// State that all connections of one app share.
pub(super) struct Link {
    pub(super) app: AppName,
    pub(super) board: ConnectionStates,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    pub(super) room: Arc<Semaphore>,
}

impl Link {
    /// Records that a frame was received.
    fn received(&self, kind: &'static str) {
        let at = self.clock.now();
        self.board.frame(&self.app, at);
        let app = &self.app;
        self.metrics.emit(FrameReceived { app, kind, at });
    }
}

/// A handled event.
struct Handled {
    frame: Frame,
    kept: bool,
    /// The id of a message that could not be stored; `None` if it was stored.
    failed: Option<String>,
}

/// One connection.
pub(super) struct Session<'a, H> {
    link: &'a Link,
    socket: WebSocket,
    service: i32,
    settings: &'a mut LinkSettings,
    handle: H,
    reader: FrameReader,
    /// When the last ping was sent.
    pinged_at: Option<Instant>,
    /// The deadline for the next frame; `None` if no ping is unanswered.
    answer_by: Option<Instant>,
}

impl<'a, H, F> Session<'a, H>
where
    H: Fn(Bytes, Instant) -> F,
    F: Future<Output = Ack> + Send + 'static,
{
    /// Builds a session over `socket`. `handle` stores the payload of an event, and receives the time of its
    /// arrival.
    pub(super) fn new(
        link: &'a Link,
        socket: WebSocket,
        service: i32,
        settings: &'a mut LinkSettings,
        handle: H,
    ) -> Self {
        Self {
            link,
            socket,
            service,
            settings,
            handle,
            reader: FrameReader::default(),
            pinged_at: None,
            answer_by: None,
        }
    }

    /// Runs until the connection ends, or until `ending`. At `ending` the events in progress are finished and
    /// acknowledged, and the connection is closed. After any other end it is dropped without a close, because
    /// the peer may be gone.
    pub(super) async fn run(mut self, ending: &CancellationToken) -> DisconnectReason {
        let (done, mut handled) = mpsc::channel(IN_HAND_MAX);
        loop {
            let ping_at = self.ping_at();
            // Due work comes before new frames. Silence is checked last, when no frame is there.
            let went_on = tokio::select! {
                biased;
                () = ending.cancelled() => {
                    drop(done);
                    return self.finish(handled).await;
                }
                Some(one) = handled.recv() => self.acknowledge(one).await,
                () = sleep_until(ping_at) => self.ping().await,
                heard = hear(&mut self.socket, &self.link.room) => match heard {
                    Ok((Heard::Closed(code), _)) => {
                        self.socket.close(CLOSE_WITHIN).await;
                        return DisconnectReason::Closed(code);
                    }
                    Ok((heard, room)) => self.heard(heard, room, &done).await,
                    Err(error) => Err(DisconnectReason::Lost(error.to_string())),
                },
                () = silence(self.answer_by) => self.silent(),
            };
            if let Err(end) = went_on {
                return end;
            }
        }
    }

    /// Returns when the next ping is due: at once for the first, else one interval after the last.
    fn ping_at(&self) -> Instant {
        self.pinged_at
            .map_or_else(Instant::now, |at| at + self.settings.ping_interval)
    }

    async fn ping(&mut self) -> Result<(), DisconnectReason> {
        let now = Instant::now();
        self.pinged_at = Some(now);
        // An unanswered ping keeps its deadline.
        self.answer_by.get_or_insert(now + ANSWER_WITHIN);
        self.send(Frame::ping(self.service)).await
    }

    fn silent(&mut self) -> Result<(), DisconnectReason> {
        if self.link.room.available_permits() == 0 {
            // The session itself did not read frames, so the peer gets a new deadline.
            self.answer_by = Some(Instant::now() + ANSWER_WITHIN);
            return Ok(());
        }
        Err(DisconnectReason::Silent)
    }

    async fn heard(
        &mut self,
        heard: Heard,
        room: OwnedSemaphorePermit,
        done: &mpsc::Sender<Handled>,
    ) -> Result<(), DisconnectReason> {
        self.answer_by = None;
        let Heard::Message(bytes) = heard else {
            self.link.received("websocket");
            return Ok(());
        };
        let now = Instant::now();
        match self.reader.read(bytes, now) {
            Received::Pong(settings) => {
                self.link.received("pong");
                if !settings.is_empty() && !self.settings.update(&settings) {
                    tracing::debug!(app = %self.link.app, "failed to parse the settings in a pong");
                }
            }
            Received::Event(message) => {
                self.link.received("event");
                self.begin(message, now, room, done.clone());
            }
            Received::Unknown(message) => {
                self.link.received("unknown");
                let ack = Ack::Taken(serde_json::json!({}));
                let handled = Handled {
                    frame: message.acknowledge(&ack, now.elapsed()),
                    kept: true,
                    failed: None,
                };
                return self.acknowledge(handled).await;
            }
            Received::Card => {
                self.link.received("card");
                let app = &self.link.app;
                self.link.metrics.emit(CardFrameIgnored { app });
            }
            Received::Fragment => self.link.received("fragment"),
            Received::Ignored(what) => self.link.received(what),
            Received::Refused(reason) => {
                self.link.received("refused");
                let app = &self.link.app;
                self.link.metrics.emit(FrameRefused { app, reason });
            }
        }
        Ok(())
    }

    /// Handles an event in a task of its own.
    fn begin(
        &self,
        message: Message,
        arrived: Instant,
        room: OwnedSemaphorePermit,
        done: mpsc::Sender<Handled>,
    ) {
        let handling = (self.handle)(message.payload.clone(), arrived);
        let (tasks, metrics) = (self.link.tasks.clone(), Arc::clone(&self.link.metrics));
        self.link.tasks.spawn_brief(async move {
            let work = tasks.spawn_brief(async move {
                let ack = handling.await;
                let failed = message
                    .id()
                    .filter(|_| ack == Ack::Failed)
                    .map(str::to_owned);
                let handled = Handled {
                    frame: message.acknowledge(&ack, arrived.elapsed()),
                    kept: ack != Ack::Failed,
                    failed,
                };
                // If the connection is gone, the platform sends the event again and it is recognised.
                done.send(handled).await.ok();
            });
            if work.await.is_err_and(|error| error.is_panic()) {
                metrics.emit(PanicCaught {
                    task: "long connection",
                });
            }
            drop(room);
        });
    }

    async fn acknowledge(&mut self, handled: Handled) -> Result<(), DisconnectReason> {
        if let Some(message_id) = &handled.failed {
            self.reader.forget(message_id);
        }
        self.send(handled.frame).await?;
        let (app, kept) = (&self.link.app, handled.kept);
        self.link.metrics.emit(FrameAcknowledged { app, kept });
        Ok(())
    }

    async fn send(&mut self, frame: Frame) -> Result<(), DisconnectReason> {
        match timeout(SEND_WITHIN, self.socket.send(frame.bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(DisconnectReason::Lost(error.to_string())),
            Err(_elapsed) => Err(DisconnectReason::Stalled),
        }
    }

    /// Acknowledges the events in progress, and closes the connection.
    async fn finish(mut self, mut handled: mpsc::Receiver<Handled>) -> DisconnectReason {
        let finishing = async {
            while let Some(one) = handled.recv().await {
                if self.acknowledge(one).await.is_err() {
                    break;
                }
            }
        };
        if timeout(FINISH_WITHIN, finishing).await.is_ok() {
            self.socket.close(CLOSE_WITHIN).await;
        }
        DisconnectReason::Left
    }
}

/// Receives the next frame, once there is room for an event.
async fn hear(
    socket: &mut WebSocket,
    room: &Arc<Semaphore>,
) -> Result<(Heard, OwnedSemaphorePermit), crate::net::SocketError> {
    let permit = Arc::clone(room).acquire_owned().await;
    let permit = permit.expect("nobody closes the semaphore");
    Ok((socket.hear().await?, permit))
}

async fn silence(answer_by: Option<Instant>) {
    match answer_by {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
