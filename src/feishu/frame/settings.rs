//! Connection settings from the platform.

use std::time::Duration;

use super::super::json;

/// How to keep a connection. The platform sends the settings with an address and in its pongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// The time between two pings: 5 s to 10 min.
    pub ping_interval: Duration,
    /// The longest pause between attempts to connect: 1 s to 10 min.
    pub reconnect_interval: Duration,
    /// The time over which clients spread their reconnects after a server drops them: up to 5 min.
    pub reconnect_nonce: Duration,
}

impl Default for LinkSettings {
    /// Returns the defaults of the platform's own clients. Source: `ws/client.go`.
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(120),
            reconnect_interval: Duration::from_secs(120),
            reconnect_nonce: Duration::from_secs(30),
        }
    }
}

impl LinkSettings {
    /// Applies a `ClientConfig`, whose values are in seconds. Absent or unreadable values change
    /// nothing. Extreme values are clamped, because an interval of 0 would loop without a pause.
    /// `ReconnectCount` is ignored because the relay reconnects forever. Returns whether there was
    /// anything to read.
    pub fn update(&mut self, json: &[u8]) -> bool {
        let text = std::str::from_utf8(json).unwrap_or_default();
        let names = ["PingInterval", "ReconnectInterval", "ReconnectNonce"];
        let Ok([ping, interval, nonce]) = json::members(text, names) else {
            return false;
        };
        let seconds = |raw, least: u64, most: u64| {
            // The value is signed in the protocol.
            let seconds = u64::try_from(json::code(raw)?).unwrap_or(0);
            Some(Duration::from_secs(seconds.clamp(least, most)))
        };
        let (ping, interval) = (seconds(ping, 5, 600), seconds(interval, 1, 600));
        self.ping_interval = ping.unwrap_or(self.ping_interval);
        self.reconnect_interval = interval.unwrap_or(self.reconnect_interval);
        self.reconnect_nonce = seconds(nonce, 0, 300).unwrap_or(self.reconnect_nonce);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(json: &str) -> [u64; 3] {
        let mut settings = LinkSettings::default();
        settings.update(json.as_bytes());
        let LinkSettings {
            ping_interval,
            reconnect_interval,
            reconnect_nonce,
        } = settings;
        [ping_interval, reconnect_interval, reconnect_nonce].map(|span| span.as_secs())
    }

    #[test]
    fn absent_settings_stay_and_extreme_settings_are_clamped() {
        for (json, expected) in [
            ("", [120, 120, 30]),
            ("[]", [120, 120, 30]),
            ("{}", [120, 120, 30]),
            ("{\"PingInterval\":30}", [30, 120, 30]),
            (
                "{\"PingInterval\":\"x\",\"ReconnectNonce\":7}",
                [120, 120, 7],
            ),
            (
                "{\"PingInterval\":null,\"ReconnectInterval\":1e99}",
                [120, 120, 30],
            ),
            (
                "{\"PingInterval\":0,\"ReconnectInterval\":0,\"ReconnectNonce\":0,\"ReconnectCount\":0}",
                [5, 1, 0],
            ),
            (
                "{\"PingInterval\":-1,\"ReconnectInterval\":-1,\"ReconnectNonce\":-1,\"ReconnectCount\":-1}",
                [5, 1, 0],
            ),
            (
                "{\"PingInterval\":99999,\"ReconnectInterval\":99999,\"ReconnectNonce\":99999}",
                [600, 600, 300],
            ),
        ] {
            assert_eq!(after(json), expected, "{json}");
        }
    }
}
