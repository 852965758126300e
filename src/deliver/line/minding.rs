//! What a line does about its gate beside sending: it keeps and tells what changes there, heeds reloads and
//! `destinations resume`, and gives to the fallback what would wait in vain.

use std::sync::Arc;

use super::{Line, limits};
use crate::deliver::Settings;
use crate::deliver::gate::{Change, Changed};
use crate::model::{Notice, NoticeKind};
use crate::store::FallBack;
use crate::telemetry::events::GateChanged;

impl Line {
    /// The gate has changed: that is kept, told, and what follows from it done.
    pub(super) async fn changed(&mut self, changed: Changed) {
        if changed.persist
            && let Err(error) = self.sender.store.put_gate(self.gate.record()).await
        {
            tracing::warn!(destination = %self.name, %error, "a restart will not know of its gate");
        }
        match changed.change {
            None | Some(Change::Blocked(_)) => {}
            Some(Change::Opened) => self.tell_gate(),
            Some(Change::Stopped(reason)) => {
                self.tell_gate();
                let text = format!(
                    "Destination {} is stopped: {reason}. It is tried again every ten minutes; \
                     `feedback-relay destinations resume {}` tries at once.",
                    self.name, self.name
                );
                let subject = self.name.to_string();
                let notice = Notice {
                    kind: NoticeKind::DestinationStopped,
                    subject,
                    text,
                };
                self.sender.operator.tell(notice).await;
            }
            Some(Change::WorksAgain) => {
                self.tell_gate();
                if let Err(error) = self.sender.store.make_due(&self.name).await {
                    tracing::warn!(destination = %self.name, %error, "what waits keeps its due times");
                }
            }
        }
    }

    pub(super) fn tell_gate(&self) {
        self.sender.metrics.emit(GateChanged {
            destination: &self.name,
            breaker_open: self.gate.is_open(),
            stopped: self.gate.stop_reason(),
        });
    }

    /// A reload may have mended what was wrong: new limits, and a fresh start.
    pub(super) async fn heed_reload(&mut self, settings: &Settings) {
        let Some(destination) = settings.destinations.get(&self.name) else {
            return;
        };
        if Arc::ptr_eq(destination, &self.destination) {
            return;
        }
        self.destination = Arc::clone(destination);
        self.gate.set_limits(&limits(destination.as_ref()));
        let changed = self.gate.release();
        self.changed(changed).await;
    }

    /// `destinations resume` clears what the journal says of the gate; we see it there.
    pub(super) async fn heed_resume(&mut self) {
        if !self.gate.is_open() && self.gate.stop_reason().is_none() {
            return;
        }
        let Ok(gates) = self.sender.store.gates().await else {
            return;
        };
        let ours = gates.iter().find(|gate| gate.destination == self.name);
        if ours.is_some_and(|gate| gate.stopped.is_none() && gate.open_since.is_none()) {
            let changed = self.gate.release();
            self.changed(changed).await;
        }
    }

    /// While stopped, what waits goes to the fallback instead; while failing for too long, what is
    /// critical goes there as well.
    pub(super) async fn fall_back(&self) {
        let common = self.destination.common();
        let Some(to) = &common.fallback else { return };
        let failing_for = self.gate.failing_for(self.sender.now());
        let which = if self.gate.stop_reason().is_some() {
            FallBack::Everything
        } else if common
            .fallback_after
            .is_some_and(|limit| failing_for >= limit)
        {
            FallBack::Critical
        } else {
            return;
        };
        match self.sender.store.fall_back(&self.name, to, which).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::warn!(destination = %self.name, fallback = %to, count, "sent to the fallback");
            }
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "the fallback is not told");
            }
        }
    }
}
