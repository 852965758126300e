//! Describes a digest.

use std::collections::BTreeMap;

use super::Builder;
use super::shape::{self, Text, Time};
use crate::model::{Compared, Content, Digest, DigestCounts, Event, GroupKey};
use crate::render::{Visibility, mask, words};

impl<'a> Builder<'a> {
    pub(super) fn digest(&self, event: &'a Event) -> shape::Digest<'a> {
        let Content::Digest(digest) = &event.content else {
            return shape::Digest::default();
        };
        let before = digest.before.as_ref();
        let sees_images = self.audience.fields.images != Visibility::Drop;
        shape::Digest {
            name: Some(self.text(&digest.name)),
            from: Some(Time(digest.from)),
            until: Some(Time(digest.until)),
            late: digest.late,
            total: Some(shape::Compared {
                label: None,
                count: digest.counts.total,
                before: before.map(|counts| counts.total),
                change: before.map(|before| change(digest.counts.total, before.total)),
            }),
            images: sees_images.then_some(digest.counts.images),
            parts: self.parts(digest),
            unhandled: Some(digest.unhandled),
            oldest_at: digest.oldest_at.map(Time),
            recent: self.newest(&digest.newest),
        }
    }

    /// Returns the counts by app, fault and page; pages only if this audience may see them.
    fn parts(&self, digest: &'a Digest) -> Vec<shape::Part<'a>> {
        let path = self.audience.fields.path;
        let mut parts = vec![
            self.part(
                digest,
                GroupKey::App,
                |counts| &counts.apps,
                |name| Some(self.text(name)),
            ),
            self.part(
                digest,
                GroupKey::Fault,
                |counts| &counts.faults,
                |name| self.fault(name).label.map(Text::from),
            ),
            self.part(
                digest,
                GroupKey::Path,
                |counts| &counts.pages,
                |name| self.shown(Some(name), path, mask::path),
            ),
        ];
        parts.retain(|part| !part.counts.is_empty());
        if path == Visibility::Drop {
            parts.retain(|part| part.key != GroupKey::Path.key());
        }
        parts
    }

    fn part(
        &self,
        digest: &'a Digest,
        key: GroupKey,
        counts: impl Fn(&'a DigestCounts) -> &'a BTreeMap<String, u64>,
        label: impl Fn(&'a str) -> Option<Text<'a>>,
    ) -> shape::Part<'a> {
        let compared = |one: Compared<'a>| shape::Compared {
            label: label(one.name),
            count: one.count,
            before: one.before,
            change: one.before.map(|before| change(one.count, before)),
        };
        shape::Part {
            key: key.key(),
            label: words::group_key(self.locale, key),
            counts: digest.largest(counts).into_iter().map(compared).collect(),
        }
    }
}

/// Returns the difference of two numbers: `+3`, `−2`, `±0`.
fn change(now: u64, before: u64) -> String {
    match now.cmp(&before) {
        std::cmp::Ordering::Greater => format!("+{}", now - before),
        std::cmp::Ordering::Less => format!("−{}", before - now),
        std::cmp::Ordering::Equal => "±0".to_owned(),
    }
}
